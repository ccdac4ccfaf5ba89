"""Tells skin, cloth and painted hair of one atlas apart, by colour and by where each texel lies on the head."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .. import masks
from ..noise import smoothstep
from ..texture_space import rasterise
from . import images
from .looks import texture_places

SIZE_PX = 1024
NAPE_DM, CHIN_DROP_DM = 6.35, 0.65        # rest height above which nothing is cloth; lower under the chin, where beards are
SPREAD_FLOOR = np.array([0.07, 0.018, 0.022])     # Oklab: skin varies at least that much, its lightness most
SKIN_LIMIT = 3.2                          # standard deviations from the face's colour that still are skin
CLOTH_SMOOTH_PX, HAIR_SMOOTH_PX = 2.5, 7.0
ISLAND_CLOTH_SHARE = 0.4                  # of an island below the chin: with more, all of it is cloth


@dataclass
class SkinRegions:
    """Square masks of a skin's texture, row 0 on top, 0..1. `covered` says where triangles are."""

    cloth: np.ndarray
    hair: np.ndarray
    covered: np.ndarray
    face_colour_linear: np.ndarray    # mean of the face's skin, for exposure


def _islands(part):
    """The number of the texture island of each triangle [T]: triangles that share vertices."""
    count = len(part.positions)
    edges = np.concatenate([part.triangles[:, :2], part.triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    return connected_components(graph, directed=False)[1][part.triangles[:, 0]]


def _sample(image, size_px):
    """The image at the centres of a square grid of texels, box-filtered where it is larger."""
    factor = max(1, min(image.shape[:2]) // size_px)
    shrunk = ndimage.uniform_filter(image, (factor, factor, 1), mode="nearest") if factor > 1 else image
    rows, columns = (((np.arange(size_px) + 0.5) / size_px * side).astype(int) for side in image.shape[:2])
    return shrunk[rows][:, columns]


def _skin_texels(rest):
    """Texels of plain facial skin: neither eyes, brows, lips nor what a beard or hair may cover."""
    nose_and_cheeks = masks.blob(rest, (0.45, 6.95, 1.3), (0.35, 0.22, 0.6)) > 0.4
    forehead = masks.blob(rest, (0.0, 7.68, 1.5), (0.35, 0.12, 0.6)) > 0.4
    eyes = masks.blob(rest, (0.31, 7.28, 1.4), (0.26, 0.16, 0.6)) > 0.3
    return (nose_and_cheeks | forehead) & ~eyes & (rest[..., 2] > 0.7)


def _away_from_skin(colour, texels):
    """Distance of every colour [N, 3] from the middle of skin's, in standard deviations."""
    skin = images.oklab(colour[texels])
    middle = np.median(skin, 0)
    spread = np.maximum(1.4826 * np.median(abs(skin - middle), 0), SPREAD_FLOOR)
    return np.linalg.norm((images.oklab(colour) - middle) / spread, axis=1)


def _smooth(values, covered, sigma_px):
    """Gaussian mean of values [N] over the covered texels, back at those [N]."""
    plane = np.zeros(covered.shape)
    plane[covered] = values
    weight = ndimage.gaussian_filter(covered.astype(float), sigma_px)
    return (ndimage.gaussian_filter(plane, sigma_px) / np.maximum(weight, 1e-6))[covered]


def _spread(values, covered):
    plane = np.zeros(covered.shape)
    plane[covered] = values
    rows, columns = images.nearest_covered(covered)
    return plane[rows, columns]


def upright_corners(uvs, triangles):
    """Texture corners [T, 3, 2] with v up, in the tile 0..1 where their triangle begins."""
    corners = uvs[triangles]
    return (corners - np.floor(corners.min(1, keepdims=True) + 1e-6)) * [1, -1] + [0, 1]


def coverage(uvs, triangles, size):
    """True for the texels [H, W] of a texture that triangles cover, to within a texel's width."""
    square = min(max(size), SIZE_PX)
    flat = np.zeros((len(triangles), 3, 1))
    covered = rasterise(upright_corners(uvs, triangles), flat, square)[1]
    covered = ndimage.binary_dilation(covered)
    rows, columns = ((np.arange(side) * square) // side for side in size)
    return covered[rows][:, columns]


def find_regions(part, head, look, image, with_cloth):
    """The regions of a skin part that shows `image` (8-bit); None where it has no usable texture space."""
    if part.uvs is None:
        return None
    islands = _islands(part)
    corners = np.concatenate([head.rest(part.positions)[part.triangles],
                              np.repeat(islands[:, None, None], 3, 1).astype(float)], 2)
    planes, covered = rasterise(upright_corners(texture_places(look, part.uvs), part.triangles), corners, SIZE_PX)
    rest, island = planes[covered][:, :3], np.round(planes[covered][:, 3]).astype(int)
    colour = _sample(images.linear(image[..., :3] / 255.0), SIZE_PX)[covered] * look.colour_linear[:3]
    face = _skin_texels(rest)
    if face.sum() < 50:
        return None
    away = _away_from_skin(colour, face)
    other = smoothstep(SKIN_LIMIT * 0.8, SKIN_LIMIT * 1.2, away)
    cloth = np.zeros(len(rest))
    if with_cloth:
        cloth = _smooth(other, covered, CLOTH_SMOOTH_PX)
        below = rest[:, 1] < NAPE_DM - CHIN_DROP_DM * smoothstep(0.2, 0.9, rest[:, 2])
        for number in np.unique(island):
            here = island == number
            if below[here].mean() > 0.9 and other[here].mean() > ISLAND_CLOTH_SHARE:
                cloth[here] = 1.0
        cloth = smoothstep(0.35, 0.65, cloth) * below
    up_and_back = smoothstep(7.45, 7.75, rest[:, 1] + 1.3 * smoothstep(1.0, 0.0, rest[:, 2]))
    hair = smoothstep(0.3, 0.6, _smooth(other, covered, HAIR_SMOOTH_PX)) * up_and_back * (1 - cloth)
    return SkinRegions(_spread(cloth, covered), _spread(hair, covered), covered, colour[face].mean(0))
