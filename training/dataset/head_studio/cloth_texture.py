"""The cloth that shirts are made of: a square of cloth that repeats, plain or with stripes or checks, as colour and relief."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .identity import generator

TILE_M, TILE_PX = 0.08, 256
KINDS = {"jersey": 0.4, "rib": 0.15, "knit": 0.15, "stripes": 0.15, "checks": 0.15}
# By kind: wales across the tile, how deep they are in metres, and how dark between them.
YARN = {"jersey": (40, 0.00015, 0.12), "rib": (16, 0.0007, 0.30), "knit": (14, 0.0008, 0.35), "stripes": (40, 0.00015, 0.12),
        "checks": (32, 0.0002, 0.15)}
STRIPES = (1, 2, 3, 4)         # in a tile
MELANGE = (0.02, 0.14)         # standard deviation of the logarithm of a fibre's colour


@dataclass(frozen=True)
class Cloth:
    """Square, row 0 on top, repeating: `albedo_linear` [S, S, 3], and `normal` [S, S, 3] in tangent space, +Y up the image."""

    albedo_linear: np.ndarray
    normal: np.ndarray


def _relief(kind, x, y):
    """0..1 at places of the tile."""
    wales = YARN[kind][0]
    if kind == "rib":
        return np.sqrt(abs(np.sin(np.pi * wales * x)))
    if kind == "checks":
        return 0.5 + 0.5 * np.sin(2 * np.pi * wales * x) * np.sin(2 * np.pi * wales * y)
    slanted = abs(2 * (wales * x % 1) - 1)     # a stitch is a V
    return abs(np.sin(np.pi * wales * x)) ** 0.5 * (0.6 + 0.4 * np.sin(2 * np.pi * (wales * y + 0.5 * slanted)))


def _second_colour(kind, x, y, draw):
    """The share 0..1 of the second colour."""
    count, width = draw.choice(STRIPES), draw.uniform(0.2, 0.6)
    across, along = (count * y % 1 < width).astype(float), (count * x % 1 < width).astype(float)
    return {"stripes": across, "checks": 0.5 * (across + along)}.get(kind, np.zeros_like(x))


def make_cloth(identity):
    """The cloth that an identity wears."""
    draw = generator(identity.number, "cloth")
    kind = str(draw.choice(list(KINDS), p=list(KINDS.values())))
    y, x = (np.mgrid[0:TILE_PX, 0:TILE_PX] + 0.5) / TILE_PX
    relief, second = _relief(kind, x, y), _second_colour(kind, x, y, draw)[..., None]
    main = np.array(identity.cloth_linear)
    other = draw.uniform(0.02, 0.7) * draw.uniform(0.6, 1.2, 3).clip(0, 1)
    fibres = sum(ndimage.gaussian_filter(draw.normal(0, 1, x.shape), sigma, mode="wrap") * sigma * gain
                 for sigma, gain in ((0.7, 2.5), (3.0, 1.5)))
    _, depth_m, dark = YARN[kind]
    albedo = (main * (1 - second) + other * second) * np.exp(draw.uniform(*MELANGE) * fibres)[..., None]
    albedo = albedo * (1 - dark * (1 - relief))[..., None]
    texel_m = TILE_M / TILE_PX
    slope = lambda axis: (np.roll(relief, -1, axis) - np.roll(relief, 1, axis)) * depth_m / (2 * texel_m)
    normal = np.stack([-slope(1), slope(0), np.ones_like(relief)], 2)
    return Cloth(albedo.clip(0.004, 0.9), normal / np.linalg.norm(normal, axis=2, keepdims=True))


def cloth_uvs(rest):
    """Texture coordinates [V, 2], v up, of rest positions [V, 3], decimetres: the cloth as it lies on chest and shoulders."""
    return np.stack([rest[:, 0], rest[:, 1] - rest[:, 2]], 1) * 0.1 / TILE_M
