"""Reads binary glTF 2.0: its JSON, accessors and images. Files that need a decoder are refused with its command. Of a file for its
nodes alone nothing is refused, and it may be a .gltf."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..storage import UsageError
from .settings import toml_of

COMPONENTS = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
GLB_MAGIC, JSON_CHUNK, BINARY_CHUNK = b"glTF", b"JSON", b"BIN\0"
# Commands of the npm package @gltf-transform/cli 4.5 that store the content plainly. `ktxdecompress` needs KTX-Software.
GEOMETRY_DECODER, IMAGE_DECODER = "copy {file} {decoded}", "png {file} {decoded} --formats '*'"
DECODERS = {"EXT_meshopt_compression": GEOMETRY_DECODER, "KHR_draco_mesh_compression": GEOMETRY_DECODER,
            "EXT_texture_webp": IMAGE_DECODER, "EXT_texture_avif": IMAGE_DECODER,
            "KHR_texture_basisu": "ktxdecompress {file} {decoded}"}
UNDERSTOOD = ("KHR_mesh_quantization", "KHR_texture_transform", "KHR_lights_punctual", "KHR_xmp_json_ld")


@dataclass
class Document:
    """A GLB file in memory: its JSON and its binary chunk, and the TOML that says more of it, which need not exist."""

    path: Path
    json: dict
    binary: bytes
    toml: Path

    def entries(self, kind):
        return self.json.get(kind, [])

    def view(self, index):
        """The bytes of a buffer view."""
        view = self.entries("bufferViews")[index]
        start = view.get("byteOffset", 0)
        content = self.binary[start:start + view["byteLength"]]
        if view.get("buffer", 0) != 0 or len(content) < view["byteLength"]:
            raise UsageError(f"{self.path}: buffer view {index} lies outside the binary chunk; expected a whole GLB that "
                             "carries its buffer; `npx @gltf-transform/cli copy` packs one")
        return content

    def accessor(self, index):
        """Values [count, width] of an accessor, as floats where it is normalised."""
        entry = self.entries("accessors")[index]
        kind, width, count = np.dtype(COMPONENTS[entry["componentType"]]), WIDTHS[entry["type"]], entry["count"]
        values = np.zeros((count, width), kind)
        if "bufferView" in entry:
            values = self._strided(entry["bufferView"], entry.get("byteOffset", 0), kind, count, width)
        if sparse := entry.get("sparse"):
            where = sparse["indices"]
            rows = self._strided(where["bufferView"], where.get("byteOffset", 0),
                                 np.dtype(COMPONENTS[where["componentType"]]), sparse["count"], 1)[:, 0]
            values = values.copy()
            values[rows] = self._strided(sparse["values"]["bufferView"], sparse["values"].get("byteOffset", 0), kind,
                                         sparse["count"], width)
        if entry.get("normalized") and kind.kind in "iu":
            return np.maximum(values / float(np.iinfo(kind).max), -1.0)
        return values

    def _strided(self, view, offset, kind, count, width):
        content = self.view(view)
        row_bytes = kind.itemsize * width
        stride = self.entries("bufferViews")[view].get("byteStride", row_bytes)
        if count and offset + (count - 1) * stride + row_bytes > len(content):
            raise UsageError(f"{self.path}: an accessor of {count} elements reaches beyond its buffer view {view} of "
                             f"{len(content)} bytes; the file is damaged")
        return np.ndarray((count, width), kind, content, offset, (stride, kind.itemsize))

    def image(self, index):
        """The encoded bytes of an image, or None where it is a file of its own."""
        entry = self.entries("images")[index]
        return self.view(entry["bufferView"]) if "bufferView" in entry else None


def _content(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def read_glb(path, toml=None):
    """The document of a GLB file whose content needs no decoder; its TOML lies beside it unless another one is named."""
    path = Path(path)
    content = _content(path)
    if content[:4] != GLB_MAGIC or len(content) < 20:
        raise UsageError(f"{path}: starts with {content[:4]!r}; expected a binary glTF file (.glb), which starts with "
                         "b'glTF'; most 3D programs export one")
    document = _unpacked(path, content, toml)
    _refuse_encoded(document)
    return document


def read_nodes(path):
    """The document of a .glb or .gltf file, for its nodes alone."""
    path = Path(path)
    content = _content(path)
    if content[:4] == GLB_MAGIC:
        return _unpacked(path, content, None)
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "asset" not in found:
        raise UsageError(f"{path}: starts with {content[:4]!r}, and is neither a .glb nor a .gltf file; expected glTF 2.0, as most 3D "
                         "programs export it")
    return Document(path, found, b"", toml_of(path))


def _unpacked(path, content, toml):
    chunks, at = {}, 12
    while at + 8 <= len(content):
        length, kind = struct.unpack_from("<I4s", content, at)
        chunks.setdefault(kind, content[at + 8:at + 8 + length])
        at += 8 + length
    try:
        return Document(path, json.loads(chunks[JSON_CHUNK]), chunks.get(BINARY_CHUNK, b""), Path(toml or toml_of(path)))
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path}: has no readable JSON chunk: {error}; the file is damaged") from error


def _refuse_encoded(document):
    for name in sorted({*document.entries("extensionsUsed"), *document.entries("extensionsRequired")}):
        if name in DECODERS:
            decoded = document.path.with_name(f"{document.path.stem}_decoded.glb")
            raise UsageError(f"{document.path}: uses the extension {name}, whose content has to be decoded first; run\n"
                             f"  npx @gltf-transform/cli {DECODERS[name].format(file=document.path, decoded=decoded)}\n"
                             "and import the new file")
    for name in document.entries("extensionsRequired"):
        if name not in UNDERSTOOD and not name.startswith("KHR_materials_"):
            raise UsageError(f"{document.path}: requires the extension {name}, which is not understood; expected plain "
                             f"glTF 2.0, KHR_materials_* or {', '.join(UNDERSTOOD)}")
    for index, image in enumerate(document.entries("images")):
        if "bufferView" not in image and not image.get("uri", "").startswith("data:"):
            raise UsageError(f"{document.path}: image {index} is the separate file {image.get('uri')!r}; expected images "
                             f"inside the GLB; `npx @gltf-transform/cli copy {document.path} packed.glb` packs them")
