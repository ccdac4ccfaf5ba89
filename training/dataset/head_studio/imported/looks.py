"""A document's materials in the terms that shading needs."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Look:
    """Metallic-roughness and alpha of a material. Images are indices into the document's, or None."""

    name: str = ""
    colour_linear: tuple = (1.0, 1.0, 1.0, 1.0)
    roughness: float = 1.0
    metallic: float = 1.0
    colour_image: int | None = None
    surface_image: int | None = None
    normal_image: int | None = None
    normal_scale: float = 1.0
    alpha_mode: str = "OPAQUE"
    alpha_cutoff: float = 0.5
    texture_transform: tuple = (0.0, 0.0, 0.0, 1.0, 1.0)     # offset, rotation in radians, scale


def _image(document, texture):
    if texture is None:
        return None
    return document.entries("textures")[texture["index"]].get("source")


def look_of(document, material):
    """The look of a material's index; None is glTF's default material."""
    if material is None:
        return Look()
    entry = document.entries("materials")[material]
    surface = entry.get("pbrMetallicRoughness", {})
    colour, normal = surface.get("baseColorTexture"), entry.get("normalTexture")
    moved = (colour or {}).get("extensions", {}).get("KHR_texture_transform", {})
    transform = (*moved.get("offset", (0.0, 0.0)), moved.get("rotation", 0.0), *moved.get("scale", (1.0, 1.0)))
    return Look(entry.get("name", ""), tuple(surface.get("baseColorFactor", (1.0,) * 4)),
                surface.get("roughnessFactor", 1.0), surface.get("metallicFactor", 1.0), _image(document, colour),
                _image(document, surface.get("metallicRoughnessTexture")), _image(document, normal),
                (normal or {}).get("scale", 1.0), entry.get("alphaMode", "OPAQUE"), entry.get("alphaCutoff", 0.5), transform)


def texture_places(look, uvs):
    """Where in its images a look reads at `uvs` [..., 2], v down (KHR_texture_transform)."""
    offset_u, offset_v, turn, scale_u, scale_v = look.texture_transform
    cos, sin = np.cos(turn), np.sin(turn)
    u, v = uvs[..., 0] * scale_u, uvs[..., 1] * scale_v
    return np.stack([cos * u + sin * v + offset_u, cos * v - sin * u + offset_v], -1)
