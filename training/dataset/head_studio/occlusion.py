"""Ambient occlusion as games bake it: the share of the space above a surface that is open. Without it a rasteriser's
surroundings shine into mouth, nostrils and lids; the path tracer needs none."""

import functools

import bpy  # noqa: F401 (mathutils comes with it)
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

RAYS, REACH_M, START_M = 24, 0.18, 0.0008
DARKEST = 0.08                 # mouths open and lids move, while what is baked stays


@functools.cache
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


def tree_of(meshes):
    """A tree of what hides: meshes are (positions [V, 3] in metres, faces [F, 3 or 4])."""
    starts = np.cumsum([0, *(len(positions) for positions, _ in meshes)])
    return BVHTree.FromPolygons(np.concatenate([positions for positions, _ in meshes]).tolist(),
                                [face for (_, faces), start in zip(meshes, starts) for face in (faces + start).tolist()])


def openness(positions, normals, tree):
    """Share of the space above each point [V] that is open, `DARKEST`..1; what is `REACH_M` away hides nothing."""
    origins = positions + START_M * normals
    rays = np.einsum("vij,rj->vri", _frames(normals), _hemisphere())
    blocked = np.zeros(len(positions))
    for at, (origin, directions) in enumerate(zip(origins, rays)):
        start = Vector(origin)
        for direction in directions:
            distance = tree.ray_cast(start, Vector(direction), REACH_M)[3]
            if distance is not None:
                blocked[at] += 1 - (distance / REACH_M) ** 2
    return np.maximum(1 - blocked / RAYS, DARKEST)
