"""Repairs what makes specks and cracks, in the copy that both renderers draw."""

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..subdivision import unit
from .parts import smooth_normals, triangle_normals, weld

CRACK_M = 0.0008               # borders of skin and cloth that are nearer to each other than this are one
SLIVER_M2 = 1e-12
CLOSED_ROLES = ("skin", "cloth")


def without_slivers(part):
    """The part without triangles of no area, and with unit normals where the file's are zero or not finite."""
    area = np.linalg.norm(triangle_normals(part.positions, part.triangles), axis=1) / 2
    part = part.keep_triangles(area > SLIVER_M2)
    length = np.linalg.norm(part.normals, axis=1)
    broken = ~np.isfinite(length) | (abs(length - 1) > 0.1)
    if broken.any():
        own = smooth_normals(part.positions, part.triangles, weld(part.positions))
        part = replace(part, normals=np.where(broken[:, None], own, part.normals))
    return part


def border_points(triangles, group):
    """The groups of vertices [B] on edges that one triangle alone has."""
    corners = group[triangles]
    edges = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    single, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(single[count == 1])


def without_cracks(parts):
    """The parts with their borders joined where skin or cloth is torn by less than a millimetre. Joined points share their
    place and their morph targets, so that they stay joined in every expression."""
    chosen = [index for index, part in enumerate(parts) if part.role in CLOSED_ROLES]
    if not chosen:
        return parts
    groups, places, borders, first = {}, [], [], 0
    for index in chosen:
        part = parts[index]
        group = weld(part.positions)
        count = int(group.max()) + 1
        place = np.zeros((count, 3))
        place[group] = part.positions
        groups[index] = group + first
        places.append(place)
        borders.append(border_points(part.triangles, group) + first)
        first += count
    places, borders = np.concatenate(places), np.concatenate(borders)
    pairs = cKDTree(places[borders]).query_pairs(CRACK_M, output_type="ndarray")
    if not len(pairs):
        return parts
    graph = coo_matrix((np.ones(len(pairs)), (borders[pairs[:, 0]], borders[pairs[:, 1]])), (first, first))
    joined = connected_components(graph, directed=False)[1]
    use = np.bincount(joined)
    mean = lambda values: np.stack([np.bincount(joined, values[:, axis]) for axis in range(3)], 1)[joined] / use[joined, None]
    torn = use[joined] > 1
    middle = mean(places)
    names = {name for index in chosen for name in parts[index].morphs}
    offsets = {name: np.zeros_like(places) for name in names}
    for index in chosen:
        for name, values in parts[index].morphs.items():
            offsets[name][groups[index]] = values
    offsets = {name: mean(values) for name, values in offsets.items()}
    mended = list(parts)
    for index in chosen:
        part, at = parts[index], groups[index]
        moved = torn[at][:, None]
        morphs = {name: np.where(moved, offsets[name][at], part.morphs.get(name, 0.0)) for name in names
                  if name in part.morphs or abs(offsets[name][at][torn[at]]).max(initial=0.0) > 1e-6}
        mended[index] = replace(part, positions=np.where(moved, middle[at], part.positions), morphs=morphs)
    return [without_slivers(part) for part in mended]


def split_where_mirrored(part):
    """The part with vertices doubled that triangles of both handednesses of the texture use: a vertex has one tangent, and
    the mean of two mirrored ones is none. Triangles without area in the texture take their neighbours' handedness."""
    if part.uvs is None:
        return part
    corners = part.uvs[part.triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    sign = np.where(abs(area) > 1e-10, np.sign(area), 0.0)
    around = sum(np.bincount(part.triangles[:, corner], sign, len(part.positions)) for corner in range(3))
    sign = np.where(sign == 0, np.where(around[part.triangles].sum(1) >= 0, 1.0, -1.0), sign)
    keys = part.triangles * 2 + (sign > 0)[:, None]
    used, triangles = np.unique(keys, return_inverse=True)
    return part.with_vertices(used // 2, triangles.reshape(-1, 3))


def bent_normals(part, positions):
    """The file's normals, turned as the surface turns when its points move from the part's to `positions`."""
    if positions is part.positions:
        return part.normals
    group = weld(part.positions)
    change = (smooth_normals(positions, part.triangles, group) - smooth_normals(part.positions, part.triangles, group))
    return unit(part.normals + change)
