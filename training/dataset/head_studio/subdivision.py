"""Catmull-Clark subdivision of quad meshes as one sparse matrix, so that every pose costs one product."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass
class QuadMesh:
    """Quads [F, 4] into vertices, and the texture coordinates [F, 4, 2] of their corners (v up)."""

    quads: np.ndarray
    corner_uvs: np.ndarray
    vertex_count: int


def _edges(quads):
    """Unique edges [E, 2] and, for each quad corner k, the edge from corner k to k + 1 [F, 4]."""
    pairs = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
    edges, index, count = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True, return_counts=True)
    return edges, index.reshape(quads.shape), count


def _averages(rows, columns, weights, shape):
    return sparse.csr_matrix((weights, (rows, columns)), shape=shape)


def subdivide_once(mesh):
    """One Catmull-Clark step: the finer mesh and its matrix [new vertices, old vertices]."""
    quads, count = mesh.quads, mesh.vertex_count
    edges, quad_edges, edge_use = _edges(quads)
    face_count, edge_count = len(quads), len(edges)
    face_points = _averages(np.repeat(np.arange(face_count), 4), quads.ravel(),
                            np.full(face_count * 4, 0.25), (face_count, count))
    edge_rows = np.arange(edge_count)
    midpoints = _averages(np.repeat(edge_rows, 2), edges.ravel(), np.full(edge_count * 2, 0.5), (edge_count, count))
    inner = edge_use == 2
    neighbours = _averages(quad_edges.ravel(), np.repeat(np.arange(face_count), 4),
                           0.5 * np.ones(face_count * 4), (edge_count, face_count))
    inner_points = 0.5 * midpoints + 0.5 * (neighbours @ face_points)
    edge_points = sparse.diags(inner * 1.0) @ inner_points + sparse.diags(~inner * 1.0) @ midpoints
    vertex_points = _vertex_points(quads, count, edges, edge_use, midpoints, face_points)
    matrix = sparse.vstack([vertex_points, edge_points, face_points]).tocsr()

    centres = count + edge_count + np.arange(face_count)
    after, before = count + quad_edges, count + np.roll(quad_edges, 1, axis=1)
    finer = np.stack([quads, after, np.repeat(centres[:, None], 4, 1), before], axis=2).reshape(-1, 4)
    uvs = mesh.corner_uvs
    uv_after = 0.5 * (uvs + np.roll(uvs, -1, axis=1))
    uv_centre = np.repeat(uvs.mean(axis=1, keepdims=True), 4, axis=1)
    finer_uvs = np.stack([uvs, uv_after, uv_centre, np.roll(uv_after, 1, axis=1)], axis=2).reshape(-1, 4, 2)
    return QuadMesh(finer, finer_uvs, matrix.shape[0]), matrix


def _vertex_points(quads, count, edges, edge_use, midpoints, face_points):
    """Moved old vertices: (F + 2E + (n - 3)V) / n inside, (1/8, 6/8, 1/8) along a border."""
    valence = np.bincount(edges.ravel(), minlength=count).astype(float)
    face_use = np.maximum(np.bincount(quads.ravel(), minlength=count), 1)
    face_mean = _averages(quads.ravel(), np.repeat(np.arange(len(quads)), 4),
                          1.0 / face_use[quads.ravel()], (count, len(quads))) @ face_points
    columns = np.repeat(np.arange(len(edges)), 2)
    edge_mean = _averages(edges.ravel(), columns, 1.0 / np.maximum(valence, 1)[edges.ravel()],
                          (count, len(edges))) @ midpoints
    n = np.maximum(valence, 3)
    inside = (sparse.diags(1 / n) @ face_mean + sparse.diags(2 / n) @ edge_mean
              + sparse.diags((n - 3) / n) @ sparse.identity(count))
    border_edges = edges[edge_use == 1]
    border_use = np.bincount(border_edges.ravel(), minlength=count)
    on_border = border_use > 0
    other = border_edges[:, ::-1].ravel()
    border_mean = _averages(border_edges.ravel(), other, 1.0 / border_use[border_edges.ravel()], (count, count))
    border = 0.75 * sparse.identity(count) + 0.25 * border_mean
    return sparse.diags(~on_border * 1.0) @ inside + sparse.diags(on_border * 1.0) @ border


def subdivide(mesh, levels):
    """`levels` steps: the finest mesh and the matrix from the coarse vertices to it."""
    matrix = sparse.identity(mesh.vertex_count, format="csr")
    for _ in range(levels):
        mesh, step = subdivide_once(mesh)
        matrix = step @ matrix
    return mesh, matrix.tocsr()


def vertex_normals(positions, quads):
    """Area-weighted unit normals [V, 3] of the surface with these vertex positions [V, 3]."""
    a, b, c, d = (positions[quads[:, k]] for k in range(4))
    face_normals = np.cross(c - a, d - b)
    normals = np.zeros_like(positions)
    for axis in range(3):
        for k in range(4):
            normals[:, axis] += np.bincount(quads[:, k], face_normals[:, axis], minlength=len(positions))
    return unit(normals)


def unit(vectors):
    """The same directions at length one; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def triangles_of(quads):
    """Two triangles for each quad: [2F, 3]."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
