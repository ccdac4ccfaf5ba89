"""What seeds share on disk: identity textures and small environment images, made once, atomically."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from . import soft_boxes, storage
from .exr import UNREADABLE, read_exr, write_exr
from .skin import SkinTextures, make_skin

ENVIRONMENT_HEIGHT_PX = 256
TEXTURE_FILES = ("albedo.png", "normal.png", "surface.png")


def environment_file(out, name):
    """Path, relative to `out`, of an environment as a 512x256 half EXR; written if absent or broken."""
    from . import blender
    import bpy

    relative = f"environments/{name}.exr"
    path = out / relative
    try:
        read_exr(path)
        return relative
    except UNREADABLE:
        path.parent.mkdir(parents=True, exist_ok=True)
    if name.startswith(soft_boxes.PREFIX):
        image = soft_boxes.make(int(name.removeprefix(soft_boxes.PREFIX)))
    else:
        source = Path(bpy.utils.system_resource("DATAFILES")) / f"studiolights/world/{name}.exr"
        if not source.exists():
            raise RuntimeError(f"environment `{name}` is missing from bpy: {source.name} not found")
        image = blender.load_linear_image(source)
    with storage.replacing(path) as temporary:
        write_exr(temporary, _shrink(image, ENVIRONMENT_HEIGHT_PX))
    return relative


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


def identity_textures(out, identity, size_px):
    """The skin textures of an identity, from `out/identities/<number>/` or made now.

    Stored as 8-bit PNG: albedo sRGB; normal 0.5 + 0.5 n; surface with roughness in green and
    the importance of face features in blue. What is used is always what was stored.
    """
    from .export import to_srgb

    folder = out / f"identities/{identity.number:07d}"
    if not storage.is_finished(folder, TEXTURE_FILES) or _width_px(folder / TEXTURE_FILES[0]) != size_px:
        folder.mkdir(parents=True, exist_ok=True)
        made = make_skin(identity, size_px)
        surface = np.stack([np.ones_like(made.roughness), made.roughness, made.feature], 2)
        for name, values in zip(TEXTURE_FILES, (to_srgb(made.albedo_linear), made.normal * 0.5 + 0.5, surface)):
            with storage.replacing(folder / name) as path:
                Image.fromarray(_to_bytes(values)).save(path, compress_level=4)
        storage.finish(folder, TEXTURE_FILES)
    albedo, normal, surface = (np.asarray(Image.open(folder / name), np.float32) / 255 for name in TEXTURE_FILES)
    linear = np.where(albedo <= 0.04045, albedo / 12.92, ((albedo + 0.055) / 1.055) ** 2.4)
    normal = normal * 2 - 1
    return SkinTextures(linear, surface[..., 1], normal / np.linalg.norm(normal, axis=2, keepdims=True), surface[..., 2])
