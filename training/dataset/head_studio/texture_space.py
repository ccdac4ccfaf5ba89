"""The head's texture layout, and what lies under each texel: rest position, mask values, metric.

The layout is the same for every identity, so all of this is computed once a process.
"""

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from .anatomy import data_folder, head_part

# (u0, v0, u1, v1) of a MakeHuman island, in the cropped layout -> its place in ours. v is up.
HEAD_ISLAND = ((0.62, 0.12, 1.001, 0.86), (0.0, 0.0, 0.64, 1.0))
TORSO_ISLAND = ((0.15, 0.76, 0.61, 1.001), (0.65, 0.72, 1.0, 1.0))
SIDE_ISLAND = ((-0.001, 0.54, 0.16, 0.67), (0.65, 0.5, 0.85, 0.70))
FACE_MAGNIFICATION = 0.7
MOUTH_ISLAND = ((0.74, -0.001, 0.95, 0.15), (0.65, 0.25, 0.92, 0.48))


@functools.cache
def base_texture(name):
    """One of MakeHuman's region masks as float [H, W] 0..1, row 0 on top."""
    path = data_folder() / f"mpfb2/textures/mpfb_{name}.jpg"
    return np.asarray(Image.open(path).convert("L"), np.float32) / 255


def sample_base_texture(name, uvs):
    """Bilinear values of a region mask at MakeHuman texture coordinates [..., 2]."""
    image = base_texture(name)
    rows, columns = (1 - uvs[..., 1]) * image.shape[0] - 0.5, uvs[..., 0] * image.shape[1] - 0.5
    return ndimage.map_coordinates(image, [rows, columns], order=1, mode="nearest")


def _magnify_middle(t):
    """0..1 -> 0..1 with slope 1 + FACE_MAGNIFICATION in the middle, where the face lies."""
    return t - FACE_MAGNIFICATION / (2 * np.pi) * np.sin(2 * np.pi * t)


@functools.cache
def head_uvs():
    """Our texture coordinates of the head's quad corners [F, 4, 2], v up, without overlap."""
    source = head_part().mesh.corner_uvs
    low, high = source.min((0, 1)), source.max((0, 1))
    cropped = (source - low) / (high - low)
    u, v = cropped[..., 0].mean(1), cropped[..., 1].mean(1)
    mouth = (sample_base_texture("inside-mouth", source).max(1) > 0.4) & (v < 0.2)
    moves = ((~mouth & (u >= 0.61), HEAD_ISLAND), (~mouth & (u > 0.15) & (u < 0.61), TORSO_ISLAND),
             (~mouth & (u <= 0.15) & (v < 0.70), SIDE_ISLAND), (mouth, MOUTH_ISLAND))
    placed = cropped.copy()
    for chosen, ((u0, v0, u1, v1), (a0, b0, a1, b1)) in moves:
        scale = np.array([(a1 - a0) / (u1 - u0), (b1 - b0) / (v1 - v0)])
        placed[chosen] = (cropped[chosen] - [u0, v0]) * scale + [a0, b0]
    on_head = moves[0][0]
    width = np.array([HEAD_ISLAND[1][2], 1.0])
    placed[on_head] = _magnify_middle((placed[on_head] / width).clip(0, 1)) * width
    return placed.clip(0, 1)


@dataclass
class TextureSpace:
    """Texels of a square texture, row 0 on top. Values are computed where an island covers a texel,
    N of them, and spread to the rest from the nearest covered one."""

    size_px: int
    covered: np.ndarray        # [S, S] bool
    nearest: np.ndarray        # [S, S] index 0..N of the nearest covered texel
    rest: np.ndarray           # [N, 3] rest position, decimetres
    base_uv: np.ndarray        # [N, 2] MakeHuman texture coordinate

    def spread(self, values):
        """[N, ...] -> [S, S, ...]."""
        return values[self.nearest]


def rasterise(uvs, values, size_px):
    """Interpolates corner values [F, 3, C] of triangles with uvs [F, 3, 2] over a square texture."""
    points = np.stack([uvs[..., 0] * size_px, (1 - uvs[..., 1]) * size_px], -1) - 0.5
    first, last = np.ceil(points.min(1) - 1e-6).astype(int), np.floor(points.max(1) + 1e-6).astype(int)
    a, ab, ac = points[:, 0], points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    area = np.where(abs(area) < 1e-9, 1e-9, area)
    out, covered = np.zeros((size_px, size_px, values.shape[2])), np.zeros((size_px, size_px), bool)
    extent = (last - first).max(0) + 1
    for dy in range(extent[1]):
        for dx in range(extent[0]):
            near = np.flatnonzero((dx <= last[:, 0] - first[:, 0]) & (dy <= last[:, 1] - first[:, 1]))
            x, y = first[near, 0] + dx, first[near, 1] + dy
            toward = np.stack([x, y], 1) - a[near]
            weight_b = (toward[:, 0] * ac[near, 1] - toward[:, 1] * ac[near, 0]) / area[near]
            weight_c = (ab[near, 0] * toward[:, 1] - ab[near, 1] * toward[:, 0]) / area[near]
            weights = np.stack([1 - weight_b - weight_c, weight_b, weight_c], 1)
            hit = (weights.min(1) > -1e-4) & (x >= 0) & (y >= 0) & (x < size_px) & (y < size_px)
            out[y[hit], x[hit]] = (values[near[hit]] * weights[hit][:, :, None]).sum(1)
            covered[y[hit], x[hit]] = True
    return out, covered


@functools.cache
def texture_space(size_px):
    """The texels of the head's textures at this size."""
    part, uvs = head_part(), head_uvs()
    values = np.concatenate([part.rest[part.mesh.quads], part.mesh.corner_uvs], axis=2)
    halves = ([0, 1, 2], [0, 2, 3])
    planes, covered = rasterise(np.concatenate([uvs[:, h] for h in halves]),
                                 np.concatenate([values[:, h] for h in halves]), size_px)
    nearest = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    order = np.cumsum(covered).reshape(covered.shape) - 1
    values = planes[covered]
    return TextureSpace(size_px, covered, order[nearest[0], nearest[1]], values[:, :3], values[:, 3:])


def sample_at_vertices(image):
    """Values of a texture [S, S] at the head's vertices [V]: the last corner of each vertex wins."""
    part, uvs = head_part(), head_uvs()
    rows = ((1 - uvs[..., 1]) * image.shape[0]).astype(int).clip(0, image.shape[0] - 1)
    columns = (uvs[..., 0] * image.shape[1]).astype(int).clip(0, image.shape[1] - 1)
    values = np.zeros(part.mesh.vertex_count, image.dtype)
    values[part.mesh.quads.ravel()] = image[rows, columns].ravel()
    return values
