"""OpenEXR scanline files in plain numpy: reads uncompressed or ZIP half/float, writes ZIP half.

Layout after the OpenEXR file format document: rows top first, channels in alphabetical order.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

MAGIC = 20000630
ROWS_PER_BLOCK = {0: 1, 2: 1, 3: 16}
# What `read_exr` raises for a file that is missing or damaged.
UNREADABLE = (OSError, ValueError, IndexError, KeyError, struct.error, zlib.error)
SAMPLE_TYPES = {1: np.dtype("<f2"), 2: np.dtype("<f4")}


def _text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode("latin-1"), end + 1


def _attributes(data):
    at, found = 8, {}
    while data[at] != 0:
        name, at = _text(data, at)
        _, at = _text(data, at)
        size, = struct.unpack_from("<i", data, at)
        found[name] = data[at + 4:at + 4 + size]
        at += 4 + size
    return found, at + 1


def _channels(block):
    at, channels = 0, []
    while block[at] != 0:
        name, at = _text(block, at)
        kind, = struct.unpack_from("<i", block, at)
        at += 16
        if kind not in SAMPLE_TYPES:
            raise ValueError(f"EXR channel {name} has sample type {kind}; expected half or float")
        channels.append((name, SAMPLE_TYPES[kind]))
    return channels


def _undo_prediction(packed):
    """Reverses EXR's byte delta and the split of even and odd bytes."""
    bytes_ = np.frombuffer(packed, np.uint8).astype(np.int64)
    bytes_[1:] -= 128
    bytes_ = np.cumsum(bytes_).astype(np.uint8)
    half = (len(bytes_) + 1) // 2
    out = np.empty_like(bytes_)
    out[0::2], out[1::2] = bytes_[:half], bytes_[half:]
    return out.tobytes()


def _predict(raw):
    bytes_ = np.frombuffer(raw, np.uint8)
    split = np.concatenate([bytes_[0::2], bytes_[1::2]]).astype(np.int64)
    split[1:] = np.diff(split) + 128
    return split.astype(np.uint8).tobytes()


def read_exr(path):
    """{channel name: float32 [H, W]}."""
    data = Path(path).read_bytes()
    magic, version = struct.unpack_from("<iI", data)
    if magic != MAGIC or version & 0x1A00:
        raise ValueError(f"{path}: expected a single-part scanline EXR")
    attributes, at = _attributes(data)
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height, compression = right - left + 1, bottom - top + 1, attributes["compression"][0]
    if compression not in ROWS_PER_BLOCK:
        raise ValueError(f"{path}: compression {compression}; expected none, ZIPS or ZIP")
    channels = _channels(attributes["channels"])
    rows = ROWS_PER_BLOCK[compression]
    images = {name: np.empty((height, width), np.float32) for name, _ in channels}
    row_bytes = sum(kind.itemsize for _, kind in channels) * width
    for start in struct.unpack_from(f"<{-(-height // rows)}Q", data, at):
        y, size = struct.unpack_from("<ii", data, start)
        y, count = y - top, min(rows, height - y + top)
        block = data[start + 8:start + 8 + size]
        if size < row_bytes * count:
            block = _undo_prediction(zlib.decompress(block))
        offset = 0
        for row in range(y, y + count):
            for name, kind in channels:
                images[name][row] = np.frombuffer(block, kind, width, offset)
                offset += kind.itemsize * width
    return images


def _attribute(name, kind, value):
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def write_exr(path, image):
    """Writes a linear [H, W, 3 or 4] image as half-float ZIP EXR, channels RGB or RGBA."""
    height, width, depth = image.shape
    names = sorted("RGBA"[:depth])
    planes = {name: np.clip(image[..., "RGBA".index(name)], -65504, 65504).astype("<f2") for name in names}
    channel_list = b"".join(n.encode() + b"\0" + struct.pack("<iB3xii", 1, 0, 1, 1) for n in names) + b"\0"
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    header = struct.pack("<iI", MAGIC, 2) + b"".join([
        _attribute("channels", "chlist", channel_list), _attribute("compression", "compression", b"\x03"),
        _attribute("dataWindow", "box2i", window), _attribute("displayWindow", "box2i", window),
        _attribute("lineOrder", "lineOrder", b"\0"), _attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
        _attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        _attribute("screenWindowWidth", "float", struct.pack("<f", 1))]) + b"\0"
    blocks = []
    for y in range(0, height, 16):
        raw = b"".join(planes[n][row].tobytes() for row in range(y, min(y + 16, height)) for n in names)
        packed = zlib.compress(_predict(raw), 6)
        packed = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<ii", y, len(packed)) + packed)
    at, offsets = len(header) + 8 * len(blocks), []
    for block in blocks:
        offsets.append(at)
        at += len(block)
    with open(path, "wb") as stream:
        stream.write(header + struct.pack(f"<{len(offsets)}Q", *offsets) + b"".join(blocks))
