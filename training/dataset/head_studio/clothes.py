"""A shirt: the base mesh's body stocking, cut along a smooth collar, lifted, hung over hollows in folds, and thickened."""

import functools

import numpy as np
from scipy import sparse

from .anatomy import cut_part
from .cloth_texture import cloth_uvs
from .identity import generator
from .noise import smoothstep, value_noise
from .subdivision import unit, vertex_normals

LIFT_M = 0.006
THICKNESS_M = 0.0035
COLLAR_SMOOTHING = 40
DRAPE_STEPS, LOOSEST_M = 60, 0.03      # how far cloth bridges hollows, and how high
FOLD_M = (0.003, 0.008)
FOLD_ACROSS, FOLD_ALONG = 2.6, 0.5     # for each decimetre
COLLAR_BAND, BAND_M = 0.16, 0.0016     # decimetres wide, and how much thicker


def collar_height(rest):
    """Height of the shirt's edge at rest positions [..., 3], decimetres."""
    return 5.36 + 0.40 * smoothstep(0.25, 0.95, abs(rest[..., 0])) + 0.30 * smoothstep(0.7, -0.1, rest[..., 2])


@functools.cache
def _shirt():
    """The part, the quads below the collar, its edges, and the matrices that smooth the collar's edge and the whole."""
    part = cut_part("helper-tights", 2, lambda q: (q[..., 1].min(1) > 3.6) & (abs(q[..., 0]).max(1) < 3.4))
    above = part.rest[:, 1] > collar_height(part.rest)
    quads = part.mesh.quads[above[part.mesh.quads].sum(1) < 2]
    border = _border_edges(quads)
    collar = border[(part.rest[border, 1] > 4.9).all(1) & (abs(part.rest[border, 0]) < 1.6).all(1)]
    count = len(part.rest)
    links = sparse.coo_matrix((np.ones(2 * len(collar)), (collar.ravel(), collar[:, ::-1].ravel())), (count, count))
    degree = np.asarray(links.sum(1)).ravel()
    on_loop = degree == 2
    step = sparse.diags(np.where(on_loop, 0.5, 0) / np.maximum(degree, 1)) @ links.tocsr()
    step = step + sparse.diags(np.where(on_loop, 0.5, 1.0))
    matrix = sparse.identity(count, format="csr")
    for _ in range(COLLAR_SMOOTHING):
        matrix = step @ matrix
    edges = np.stack([quads, np.roll(quads, -1, axis=1)], 2).reshape(-1, 2)
    links = sparse.coo_matrix((np.ones(2 * len(edges)), (edges.ravel(), edges[:, ::-1].ravel())), (count, count)).tocsr()
    drape = sparse.diags(1 / np.maximum(np.asarray(links.sum(1)).ravel(), 1)) @ links
    return part, quads, border, matrix, drape


def _folds(rest, draw):
    """Folds 0..1 from the shoulders down towards the middle, and across the chest."""
    x, y, z = abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    down = np.stack([FOLD_ACROSS * (0.87 * x - 0.5 * y), FOLD_ALONG * (0.5 * x + 0.87 * y), z + np.sign(rest[:, 0])], 1)
    across = np.stack([FOLD_ALONG * rest[:, 0], FOLD_ACROSS * y, z], 1)
    ridge = lambda places: np.clip(1 - 3 * abs(value_noise(places, 1.0, draw, 2)), 0, 1) ** 2
    return np.maximum(ridge(down), 0.6 * ridge(across))


def _border_edges(quads):
    edges = np.stack([quads, np.roll(quads, -1, axis=1)], 2).reshape(-1, 2)
    _, index, count = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
    return edges[count[index.ravel()] == 1]


def make_shirt(base_vertices, number):
    """Positions [V, 3] in metres, normals [V, 3], quads [F, 4] and texture coordinates [V, 2] (v up) of the shirt of this
    identity, an outside and an inside."""
    part, quads, border, smoothing, drape = _shirt()
    skin = part.pose_m(base_vertices)
    normals = vertex_normals(skin, quads)
    below = collar_height(part.rest) - part.rest[:, 1]
    hung = skin
    for _ in range(DRAPE_STEPS):
        hung = drape @ hung
    draw = generator(number, "folds")
    loose = ((hung - skin) * normals).sum(1).clip(0, LOOSEST_M) + draw.uniform(*FOLD_M) * _folds(part.rest, draw)
    lift = LIFT_M + smoothstep(0.1, 0.9, below) * loose + BAND_M * smoothstep(COLLAR_BAND, COLLAR_BAND - 0.05, below)
    outside = smoothing @ (skin + normals * lift[:, None])
    used, compact = np.unique(np.concatenate([quads.ravel(), border.ravel()]), return_inverse=True)
    outer = compact[:quads.size].reshape(quads.shape)
    edge = compact[quads.size:].reshape(border.shape)
    outside, normals = outside[used], unit(normals[used])
    inside = outside - normals * THICKNESS_M
    count = len(used)
    rim = np.stack([edge[:, 1], edge[:, 0], edge[:, 0] + count, edge[:, 1] + count], 1)
    positions = np.concatenate([outside, inside])
    all_quads = np.concatenate([outer, outer[:, ::-1] + count, rim])
    return positions, vertex_normals(positions, all_quads), all_quads, np.tile(cloth_uvs(part.rest[used]), (2, 1))
