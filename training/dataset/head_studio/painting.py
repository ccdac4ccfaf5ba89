"""Strands painted into the skin's texture, as games draw brows, stubble and shaved heads."""

import functools

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from .anatomy import METRES_PER_BASE_UNIT, head_part
from .texture_space import texture_space

STEP_M = 0.0003                # along a strand
FARTHEST_M = 0.006             # from the skin: what is farther away is not painted


@functools.lru_cache(maxsize=2)
def _texels(size_px):
    """A tree of the covered texels' rest positions, and the area [N] that each covers, square metres."""
    space = texture_space(size_px)
    position = space.spread(space.rest) * METRES_PER_BASE_UNIT
    area = np.linalg.norm(np.cross(np.gradient(position, axis=1), np.gradient(position, axis=0)), axis=2)
    return cKDTree(space.rest), np.maximum(area[space.covered], 1e-9)


def painted_cover(bundle, size_px, gain=1.0, blur_px=0.7):
    """The share [S, S], 0..1, of each texel that the strands of a bundle cover, seen along the skin's normal and `gain` times as
    dense; `blur_px` is a standard deviation at 1024 texels."""
    space = texture_space(size_px)
    tree, area = _texels(size_px)
    vertices, weights = bundle.anchors
    roots = (head_part().rest[vertices] * weights[..., None]).sum(1)
    first = bundle.points[:, :1]
    rest = roots[:, None] + (bundle.points - first) / METRES_PER_BASE_UNIT
    length = np.linalg.norm(np.diff(bundle.points, axis=1), axis=2)
    steps = int(np.ceil(length.max() / STEP_M))
    part = (np.arange(steps) + 0.5) / steps
    places = rest[:, :-1, None] + np.diff(rest, axis=1)[:, :, None] * part[:, None]
    radii = bundle.radii_m()
    covered = 2 * (radii[:, :-1, None] * (1 - part) + radii[:, 1:, None] * part) * (length / steps)[..., None]
    distance, texel = tree.query(places.reshape(-1, 3), workers=-1)
    near = distance < FARTHEST_M / METRES_PER_BASE_UNIT
    cover = np.bincount(texel[near], covered.ravel()[near], minlength=len(space.rest)) / area
    image = np.zeros(space.covered.shape)
    image[space.covered] = cover
    # Thicker hair hides itself (Beer-Lambert).
    return 1 - np.exp(-gain * ndimage.gaussian_filter(image, blur_px * size_px / 1024))
