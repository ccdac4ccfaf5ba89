"""A plain shirt: the base mesh's body stocking, cut along a smooth collar, lifted, and thickened."""

import functools

import numpy as np
from scipy import sparse

from .anatomy import cut_part
from .noise import smoothstep
from .subdivision import unit, vertex_normals

LIFT_M = 0.006
THICKNESS_M = 0.0035
COLLAR_SMOOTHING = 40


def collar_height(rest):
    """Height of the shirt's edge at rest positions [..., 3], decimetres."""
    return 5.36 + 0.40 * smoothstep(0.25, 0.95, abs(rest[..., 0])) + 0.30 * smoothstep(0.7, -0.1, rest[..., 2])


@functools.cache
def _shirt():
    """The part, the quads below the collar, and the matrix that smooths the collar's edge."""
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
    return part, quads, border, matrix


def _border_edges(quads):
    edges = np.stack([quads, np.roll(quads, -1, axis=1)], 2).reshape(-1, 2)
    _, index, count = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
    return edges[count[index.ravel()] == 1]


def make_shirt(base_vertices):
    """Positions [V, 3] in metres, normals [V, 3] and quads [F, 4] of the shirt, an outside and an inside."""
    part, quads, border, smoothing = _shirt()
    skin = part.pose_m(base_vertices)
    normals = vertex_normals(skin, quads)
    outside = smoothing @ (skin + normals * LIFT_M)
    used, compact = np.unique(np.concatenate([quads.ravel(), border.ravel()]), return_inverse=True)
    outer = compact[:quads.size].reshape(quads.shape)
    edge = compact[quads.size:].reshape(border.shape)
    outside, normals = outside[used], unit(normals[used])
    inside = outside - normals * THICKNESS_M
    count = len(used)
    rim = np.stack([edge[:, 1], edge[:, 0], edge[:, 0] + count, edge[:, 1] + count], 1)
    positions = np.concatenate([outside, inside])
    all_quads = np.concatenate([outer, outer[:, ::-1] + count, rim])
    return positions, vertex_normals(positions, all_quads), all_quads
