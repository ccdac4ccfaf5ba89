"""The posed head as a surface to grow hair on: sampling roots, and keeping strands out of the skin."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from . import masks
from .anatomy import head_part
from .noise import smoothstep
from .subdivision import triangles_of, unit

SHIRT_TOP_REST = 5.75          # decimetres: below it the shirt may lie on the skin
SHIRT_CLEARANCE_M = 0.011
FACE_HALF_WIDTH_M = 0.07


@functools.cache
def vertex_base_uvs():
    """A MakeHuman texture coordinate for each head vertex [V, 2]."""
    part = head_part()
    uvs = np.zeros((part.mesh.vertex_count, 2))
    uvs[part.mesh.quads.ravel()] = part.mesh.corner_uvs.reshape(-1, 2)
    return uvs


@functools.cache
def vertex_mask(name):
    """A region of `masks` at each head vertex [V]."""
    rest = head_part().rest
    if name == "brows":
        return masks.brows(rest)
    return {"scalp": masks.scalp, "beard": masks.beard}[name](rest, vertex_base_uvs())


@functools.cache
def _face_core():
    """Vertices no head hair may hang in front of: brows to chin, between the outer eye corners."""
    rest = head_part().rest
    return (abs(rest[:, 0]) < 0.48) & (rest[:, 2] > 0.75) & (rest[:, 1] > 6.1) & (rest[:, 1] < 7.6)


@dataclass
class Roots:
    """Random points of the skin: positions, unit normals and rest positions [N, 3], and their anchor:
    three vertices [N, 3] with weights [N, 3], the same whatever the pose."""

    positions: np.ndarray
    normals: np.ndarray
    rest: np.ndarray
    vertices: np.ndarray
    weights: np.ndarray


class HeadSurface:
    """The head at its neutral pose: positions and normals [V, 3] in metres."""

    def __init__(self, positions_m):
        part = head_part()
        self.positions, self.rest = positions_m, part.rest
        self.normals = part.normals(positions_m)
        self.triangles = triangles_of(part.mesh.quads)
        a, b, c = (positions_m[self.triangles[:, k]] for k in range(3))
        self.areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        self.tree = cKDTree(positions_m[::2])

    def roots(self, region, count, draw, crowding=None):
        """`count` random points of a region; `crowding` [V] is a relative density."""
        mask = vertex_mask(region) * (1 if crowding is None else crowding)
        density = self.areas * mask[self.triangles].mean(1)
        vertices = self.triangles[draw.choice(len(density), count, p=density / density.sum())]
        u, v = np.sqrt(draw.random(count)), draw.random(count)
        weights = np.stack([1 - u, u * (1 - v), u * v], 1)
        mix = lambda values: (values[vertices] * weights[:, :, None]).sum(1)
        return Roots(mix(self.positions), unit(mix(self.normals)), mix(self.rest), vertices, weights)

    def _nearest(self, points):
        distance, index = self.tree.query(points.reshape(-1, 3), distance_upper_bound=0.06)
        return distance, np.minimum(index, len(self.tree.data) - 1) * 2

    def push_out(self, points, clearance_m):
        """Points [..., 3] moved outwards until they clear the skin, or the shirt on it."""
        flat = points.reshape(-1, 3)
        distance, index = self._nearest(flat)
        height = ((flat - self.positions[index]) * self.normals[index]).sum(1)
        wanted = np.where(self.rest[index, 1] < SHIRT_TOP_REST, SHIRT_CLEARANCE_M, 0) + clearance_m
        lift = np.where(distance < 0.035, np.maximum(0, wanted - height), 0)
        return (flat + self.normals[index] * lift[:, None]).reshape(points.shape)

    def lay_on(self, points, clearance_m):
        """Points [..., 3] moved along the nearest normals to this height [...] above the skin; those far from it stay."""
        flat = points.reshape(-1, 3)
        distance, index = self._nearest(flat)
        height = ((flat - self.positions[index]) * self.normals[index]).sum(1)
        lift = np.where(np.isfinite(distance), clearance_m.ravel() - height, 0)
        return (flat + self.normals[index] * lift[:, None]).reshape(points.shape)

    def part_from_face(self, points, side):
        """Points [N, 3] moved sideways, to their strand's `side` [N] (+-1), off the face below the hairline."""
        _, index = self._nearest(points)
        rest = self.rest[index]
        wanted = FACE_HALF_WIDTH_M * smoothstep(8.05, 7.6, rest[:, 1]) * smoothstep(0.45, 0.7, rest[:, 2])
        moved = points.copy()
        moved[:, 0] = side * np.maximum(side * points[:, 0], wanted)
        return np.where((wanted > 0)[:, None], moved, points)

    def hangs_over_face(self, strands):
        """A mask [N], true for strands [N, K, 3] that pass in front of the middle of the face."""
        distance, index = self._nearest(strands)
        over = _face_core()[index] & np.isfinite(distance) & (abs(strands[..., 0].ravel()) < 0.05)
        return over.reshape(strands.shape[:2])[:, 2:].any(1)
