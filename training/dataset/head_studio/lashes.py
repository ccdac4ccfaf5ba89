"""Eyelashes, grown along the base mesh's helper strips from the lid's edge to the lashes' tips."""

import functools
from collections import defaultdict

import numpy as np

from .anatomy import METRES_PER_BASE_UNIT, base_mesh
from .identity import generator
from .strands import Strands
from .subdivision import unit

UPPER_PART, LOWER_PART = "2", "1"
POINTS = 6


def _long_sides(quads):
    """The two long border lines of a strip of quads, as vertex lists."""
    neighbours, use = defaultdict(list), defaultdict(int)
    edge_use = defaultdict(int)
    for quad in quads:
        for a, b in zip(quad, np.roll(quad, -1)):
            edge_use[frozenset((int(a), int(b)))] += 1
        for vertex in quad:
            use[int(vertex)] += 1
    for edge, count in edge_use.items():
        if count == 1:
            a, b = edge
            neighbours[a].append(b)
            neighbours[b].append(a)
    corners = [vertex for vertex, count in use.items() if count == 1]
    loop = [corners[0], neighbours[corners[0]][0]]
    while True:
        onward = [v for v in neighbours[loop[-1]] if v != loop[-2]][0]
        if onward == loop[0]:
            break
        loop.append(onward)
    at = [k for k, vertex in enumerate(loop) if vertex in corners] + [len(loop)]
    sides = [(loop + loop[:1])[first:last + 1] for first, last in zip(at, at[1:])]
    return sorted(sides, key=len)[-2:]


@functools.cache
def _strip(side, part):
    """(root line, tip line) of one strip, both from the inner corner outwards."""
    base = base_mesh()
    eye = base.vertices[base.group_vertices(f"helper-{side}-eye")]
    centre = (eye.min(0) + eye.max(0)) / 2
    lines = _long_sides(base.groups[f"helper-{side}-eyelashes-{part}"][0])
    lines = sorted(lines, key=lambda line: np.linalg.norm(base.vertices[line] - centre, axis=1).mean())
    return [line if abs(base.vertices[line[0], 0]) < abs(base.vertices[line[-1], 0]) else line[::-1] for line in lines]


def _along(points, u):
    at = np.linspace(0, 1, len(points))
    return np.stack([np.interp(u, at, points[:, axis]) for axis in range(3)], 1)


@functools.cache
def lid_edges():
    """Rest positions [N, 3], decimetres, along the lines on which lashes grow."""
    lines = [_strip(side, part)[0] for side in "lr" for part in (UPPER_PART, LOWER_PART)]
    return np.concatenate([_along(base_mesh().vertices[line], np.linspace(0, 1, 200)) for line in lines])


def _one_strip(identity, base_vertices, side, part, draw):
    upper = part == UPPER_PART
    female = identity.male < 0.5
    root_line, tip_line = (base_vertices[line] * METRES_PER_BASE_UNIT for line in _strip(side, part))
    count = int((140 if upper else 60) * (1.25 if female else 0.9))
    u = np.sort(draw.uniform(0.03, 0.99, count))
    roots, tips = _along(root_line, u), _along(tip_line, np.clip(u + draw.normal(0, 0.03, count), 0, 1))
    outward = unit(tips - roots)
    length = draw.uniform(*((0.006, 0.009) if upper else (0.003, 0.005)), count)
    length *= (1.1 if female else 0.85) * (0.6 + 0.4 * np.sin(np.clip(u + 0.1, 0, 1) * np.pi))
    curl = np.array([0, 0.22 if upper else -0.22, 0])
    direction = unit(outward - 1.1 * curl + draw.normal(0, 0.1, outward.shape))
    points = [roots - outward * 0.0006]
    for _ in range(POINTS - 1):
        direction = unit(direction + curl)
        points.append(points[-1] + direction * length[:, None] / (POINTS - 1))
    return np.stack(points, 1), np.cross(outward, np.cross([0, 1.0, 0], outward))


def grow_lashes(identity, base_vertices):
    """All four rows of lashes for shaped base vertices (decimetres)."""
    rows = [_one_strip(identity, base_vertices, side, part, generator(identity.number, f"lashes {side}{part}"))
            for side in "lr" for part in (UPPER_PART, LOWER_PART)]
    points, normals = (np.concatenate(parts) for parts in zip(*rows))
    return Strands("Lashes", "lash", points, unit(normals), 0.00006, 0.00001, np.zeros(len(points)))
