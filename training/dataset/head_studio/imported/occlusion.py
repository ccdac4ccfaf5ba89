"""Ambient occlusion baked into the textures of an imported head, for materials that come without it."""

import numpy as np

from ..occlusion import openness, tree_of
from ..texture_space import rasterise
from . import images
from .looks import look_of, texture_places
from .parts import weld
from .skin_regions import upright_corners

BAKED_ROLES = ("skin", "eye", "teeth", "mouth", "other")
SOLID_ROLES = ("skin", "eye", "teeth", "mouth", "cloth", "hair", "other")
SIZE_PX = 512


def _openness(part, tree):
    """The openness [V] above each vertex; vertices in one place share theirs."""
    group = weld(part.positions)
    _, first = np.unique(group, return_index=True)
    return openness(part.positions[first], part.normals[first], tree)[group]


def bake(document, head):
    """{material: JPEG bytes} of occlusion, for the baked roles' materials that have none and have texture coordinates."""
    solid = [part for part in head.parts if part.role in SOLID_ROLES
             and look_of(document, part.material).alpha_mode == "OPAQUE"]
    tree = tree_of([(part.positions, part.triangles) for part in solid])
    planes, covered = {}, {}
    for part in head.parts:
        entry = {} if part.material is None else document.entries("materials")[part.material]
        if part.role not in BAKED_ROLES or part.material is None or part.uvs is None or "occlusionTexture" in entry:
            continue
        corners = upright_corners(texture_places(look_of(document, part.material), part.uvs), part.triangles)
        plane, hit = rasterise(corners, _openness(part, tree)[part.triangles][..., None], SIZE_PX)
        kept = planes.setdefault(part.material, np.ones((SIZE_PX, SIZE_PX)))
        kept[hit] = plane[hit, 0]
        covered[part.material] = covered.get(part.material, False) | hit
    made = {}
    for material, plane in planes.items():
        grey = np.repeat((plane[..., None] * 255 + 0.5).astype(np.uint8), 3, 2)
        made[material] = images.encode(images.padded(grey, covered[material]), 90)
    return made
