"""Smooth value noise and cell noise at points in space, in numpy."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

LATTICE = 48


def smoothstep(low, high, x):
    """0 below `low`, 1 above `high`, smooth between; `low` may exceed `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def value_noise(points, cells_per_unit, draw, octaves=3, gain=0.55):
    """Fractal noise at points [N, 3], about 0 +- 0.5, starting at `cells_per_unit`."""
    points = points.astype(np.float32)
    total, amplitude, norm = np.zeros(len(points), np.float32), 1.0, 0.0
    for _ in range(octaves):
        lattice = draw.random((LATTICE,) * 3, dtype=np.float32)
        place = points * np.float32(cells_per_unit) + draw.uniform(0, LATTICE, 3).astype(np.float32)
        whole = np.floor(place)
        part = place - whole
        place = whole + part * part * (3 - 2 * part)
        total += amplitude * (ndimage.map_coordinates(lattice, place.T, order=1, mode="grid-wrap") - 0.5)
        norm += amplitude
        amplitude *= gain
        cells_per_unit *= 2.03
    return total / norm * (1.5 if octaves > 1 else 1.0)


def cells(points, cells_per_unit, draw):
    """Distance to the nearest and second nearest random cell centre [N], in cell sizes, and its index."""
    place = points * cells_per_unit
    corner = np.floor(place).astype(np.int64) + 2**19
    keys = np.unique((corner[:, 0] << 40) | (corner[:, 1] << 20) | corner[:, 2])
    occupied = np.stack([keys >> 40, (keys >> 20) & (2**20 - 1), keys & (2**20 - 1)], 1) - 2**19
    centres = occupied + draw.random(occupied.shape)
    distance, index = cKDTree(centres).query(place, k=2, workers=-1)
    return distance[:, 0], distance[:, 1], index[:, 0]
