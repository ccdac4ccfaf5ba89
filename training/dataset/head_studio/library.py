"""What seeds share on disk: identity textures and small pictures of surroundings, made once, atomically."""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from . import soft_boxes, storage
from .assets import Assets, npm_exr
from .exr import UNREADABLE, read_exr, write_exr
from .lighting import EVEN_SKY
from .skin import SkinTextures, make_skin
from .variation import NPM_PREFIX

ENVIRONMENT_HEIGHT_PX = 256
TEXTURE_FILES, MADE_OF = ("albedo.png", "normal.png", "surface.png"), "made_of.json"


def pack_surroundings(assets):
    """Names of the surroundings of all packs, as `variation.py` wants them."""
    return (*assets.names("surroundings"), *(NPM_PREFIX + name for name in assets.names("npm surroundings")))


def surroundings_used(assets, name):
    """`[(pack, name)]` of surroundings, if they are a pack's."""
    entries = (("surroundings", name), ("npm surroundings", name.removeprefix(NPM_PREFIX)))
    return [(pack, own) for pack, own in entries if own in assets.packs[pack] and (pack == "surroundings" or own != name)]


def environment_file(out, name, assets=Assets(), own=None):
    """Path, relative to `out`, of surroundings as a 512x256 half EXR; written if absent or broken. `own` {name: file} are
    pictures besides those of the packs."""
    relative = f"environments/{name}.exr"
    path = out / relative
    try:
        read_exr(path)
        return relative
    except UNREADABLE:
        path.parent.mkdir(parents=True, exist_ok=True)
    with storage.replacing(path) as temporary:
        image = _own_surroundings(own[name]) if own and name in own else _surroundings(name, assets)
        write_exr(temporary, _shrink(image, ENVIRONMENT_HEIGHT_PX))
    return relative


def _own_surroundings(path):
    """Linear [H, W, 3] of a picture that somebody brought."""
    from . import blender

    try:
        image = blender.load_linear_image(path)
    except RuntimeError as error:
        raise storage.UsageError(f"{path}: is no picture that Blender reads: {error}; expected surroundings as .hdr or .exr") from error
    height, width = image.shape[:2]
    if width != 2 * height or not np.isfinite(image).all():
        raise storage.UsageError(f"{path}: has {width} x {height} pixels{'' if width != 2 * height else ', not all finite'}; "
                                 "expected equirectangular surroundings, twice as wide as high, of finite numbers")
    return image


def _surroundings(name, assets):
    """Linear [H, W, 3] of surroundings by name, from wherever they come."""
    from . import blender
    import bpy

    if name.startswith(soft_boxes.PREFIX):
        return soft_boxes.make(int(name.removeprefix(soft_boxes.PREFIX)))
    if name == EVEN_SKY:
        return np.ones((16, 32, 3), np.float32)
    for pack, own in surroundings_used(assets, name):
        source = assets.path(pack, own)
        if pack == "surroundings":
            return blender.load_linear_image(source)
        with tempfile.TemporaryDirectory() as scratch:
            exr = Path(scratch) / f"{own}.exr"
            exr.write_bytes(npm_exr(source))
            return blender.load_linear_image(exr)
    source = Path(bpy.utils.system_resource("DATAFILES")) / f"studiolights/world/{name}.exr"
    if not source.exists():
        raise RuntimeError(f"surroundings `{name}` are neither in a pack nor in bpy: {source.name} not found")
    return blender.load_linear_image(source)


def _shrink(image, height):
    """Box-filtered copy, twice as wide as high; an image that is already small is kept."""
    factor = image.shape[0] // height
    if factor <= 1:
        return image
    image = image[:height * factor, :2 * height * factor]
    return image.reshape(height, factor, 2 * height, factor, 3).mean((1, 3))


@functools.lru_cache(maxsize=8)
def environment_image(path):
    """Linear [H, W, 3] of an environment file."""
    planes = read_exr(path)
    return np.stack([planes[channel] for channel in "RGB"], axis=2)


def _to_bytes(values):
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _width_px(path):
    with Image.open(path) as image:
        return image.width


def _textures_are_finished(folder, made_of, size_px):
    return (storage.is_finished(folder, (*TEXTURE_FILES, MADE_OF)) and (folder / MADE_OF).read_bytes() == made_of
            and _width_px(folder / TEXTURE_FILES[0]) == size_px)


def identity_textures(out, identity, look, size_px):
    """The skin textures of an identity, from `out/identities/<number>/` or made now.

    Stored as 8-bit PNG: albedo sRGB; normal 0.5 + 0.5 n; surface with roughness in green and
    the importance of face features in blue. What is used is always what was stored. Textures that were made from other
    packs are made again.
    """
    from .export import to_srgb

    folder = out / f"identities/{identity.number:07d}"
    made_of = json.dumps(look.as_json(), indent=1).encode()
    if not _textures_are_finished(folder, made_of, size_px):
        folder.mkdir(parents=True, exist_ok=True)
        made = make_skin(identity, look, size_px)
        surface = np.stack([np.ones_like(made.roughness), made.roughness, made.feature], 2)
        for name, values in zip(TEXTURE_FILES, (to_srgb(made.albedo_linear), made.normal * 0.5 + 0.5, surface)):
            with storage.replacing(folder / name) as path:
                Image.fromarray(_to_bytes(values)).save(path, compress_level=4)
        storage.write_bytes(folder / MADE_OF, made_of)
        storage.finish(folder, (*TEXTURE_FILES, MADE_OF))
    albedo, normal, surface = (np.asarray(Image.open(folder / name), np.float32) / 255 for name in TEXTURE_FILES)
    linear = np.where(albedo <= 0.04045, albedo / 12.92, ((albedo + 0.055) / 1.055) ** 2.4)
    normal = normal * 2 - 1
    return SkinTextures(linear, surface[..., 1], normal / np.linalg.norm(normal, axis=2, keepdims=True), surface[..., 2])
