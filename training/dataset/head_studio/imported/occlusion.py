"""Ambient occlusion baked into textures, as games have it: without, a rasteriser's surroundings shine into mouth, nostrils and
lids. For materials that come without it; the path tracer needs none."""

import bpy  # noqa: F401 (mathutils comes with it)
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ..texture_space import rasterise
from . import images
from .looks import look_of, texture_places
from .parts import weld
from .skin_regions import upright_corners

BAKED_ROLES = ("skin", "eye", "teeth", "mouth", "other")
SOLID_ROLES = ("skin", "eye", "teeth", "mouth", "cloth", "hair", "other")
RAYS, REACH_M, START_M = 24, 0.18, 0.0008
DARKEST = 0.08                 # mouths open and lids move, while what is baked stays
SIZE_PX = 512


def _hemisphere():
    """Directions [RAYS, 3] about +Z, more of them near it by the cosine: a Fibonacci spiral on the disk, lifted up."""
    k = np.arange(RAYS) + 0.5
    radius, angle = np.sqrt(k / RAYS), k * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius ** 2)], 1)


def _frames(normals):
    """Rotations [V, 3, 3] whose columns are a tangent, a bitangent and the normal."""
    helper = np.where(abs(normals[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]])
    tangent = np.cross(helper, normals)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    return np.stack([tangent, np.cross(normals, tangent), normals], 2)


def _openness(part, tree):
    """Share of the space above each vertex [V] that is open, DARKEST..1."""
    group = weld(part.positions)
    _, first = np.unique(group, return_index=True)
    origins = part.positions[first] + START_M * part.normals[first]
    rays = np.einsum("vij,rj->vri", _frames(part.normals[first]), _hemisphere())
    blocked = np.zeros(len(first))
    for at, (origin, directions) in enumerate(zip(origins, rays)):
        start = Vector(origin)
        for direction in directions:
            distance = tree.ray_cast(start, Vector(direction), REACH_M)[3]
            if distance is not None:
                blocked[at] += 1 - (distance / REACH_M) ** 2
    return np.maximum(1 - blocked / RAYS, DARKEST)[group]


def bake(document, head):
    """{material: JPEG bytes} of occlusion, for the baked roles' materials that have none and have texture coordinates."""
    solid = [part for part in head.parts if part.role in SOLID_ROLES
             and look_of(document, part.material).alpha_mode == "OPAQUE"]
    starts = np.cumsum([0, *(len(part.positions) for part in solid)])
    tree = BVHTree.FromPolygons(np.concatenate([part.positions for part in solid]).tolist(),
                                np.concatenate([part.triangles + start for part, start in zip(solid, starts)]).tolist())
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
