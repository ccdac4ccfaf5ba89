"""Head hair, brows and stubble as strands, grown on the neutral head.

Head hair is grown as a few guide strands (direction, gravity, pushed out of the skin); every other
strand follows its nearest guides.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from .identity import generator
from .masks import brow_height
from .noise import smoothstep
from .strands import Strands
from .subdivision import unit
from .surface import HeadSurface

GUIDES = 2200
PARTING_WIDTH, PARTING_LOWEST, PARTING_CROWDING = 0.11, 7.8, 2.5   # decimetres, decimetres, factor
ROOT_DEPTH_M, ROOT_RISE_M = 0.0005, 0.0012   # strands leave the skin upright, or the first chord stays under it
BEARD_SEGMENTS = 5
LONG_HAIR_M = 0.06             # longer hair is combed off the face


@dataclass(frozen=True)
class Style:
    """Counts, lengths and the way a hair style falls."""

    strands: int
    shortest_m: float
    longest_m: float
    segments: int
    gravity: float
    root_radius_m: float
    clump: float
    volume_m: float


STYLES = {
    "buzz": Style(26000, 0.0015, 0.004, 3, 0.0, 0.000065, 0.0, 0.0),
    "short": Style(30000, 0.020, 0.038, 6, 0.10, 0.000095, 0.45, 0.002),
    "side": Style(26000, 0.045, 0.080, 9, 0.16, 0.000085, 0.5, 0.005),
    "bob": Style(24000, 0.15, 0.20, 14, 0.45, 0.000095, 0.5, 0.006),
    "long": Style(24000, 0.24, 0.34, 18, 0.55, 0.000095, 0.5, 0.005),
}


def _tangent(normals, directions):
    return unit(directions - normals * (normals * directions).sum(1, keepdims=True))


def _start_directions(name, normals, rest, parting, draw):
    """Unit growth directions at the roots, in world axes."""
    side = np.sign(rest[:, 0] - parting)
    zero = np.zeros_like(side)
    front = smoothstep(0.0, 1.2, rest[:, 2])
    jitter = lambda amount: draw.normal(0, amount, normals.shape)
    if name == "buzz":
        return unit(normals + np.array([0, -0.1, 0.35]) + jitter(0.12))
    if name == "short":
        forward = np.stack([0.25 * side, zero, 0.55 * (0.3 + front)], 1)
        return unit(0.55 * normals + forward + jitter(0.12))
    if name == "side":
        sweep = np.stack([side, zero - 0.12, 0.1 - 0.25 * (1 - front)], 1)
        return unit(_tangent(normals, sweep) + 0.5 * normals + jitter(0.07))
    sweep = np.stack([0.9 * side, zero + 0.1, zero - 0.5], 1)
    return unit(_tangent(normals, sweep) + 0.42 * normals + jitter(0.05))


def _lengths(name, style, rest, draw):
    lengths = draw.uniform(style.shortest_m, style.longest_m, len(rest))
    if name == "short":
        return lengths * (0.3 + 0.7 * smoothstep(7.5, 8.2, rest[:, 1]))
    if name == "side":
        return lengths * (0.3 + 0.7 * smoothstep(7.3, 8.0, rest[:, 1]))
    return lengths


def _grow_guides(surface, name, style, roots, parting, draw):
    """Guide strands [G, K, 3] with K = segments + 1."""
    direction = _start_directions(name, roots.normals, roots.rest, parting, draw)
    step = (_lengths(name, style, roots.rest, draw) / style.segments)[:, None]
    phase, wave = draw.uniform(0, 2 * np.pi, len(step)), draw.uniform(0, 0.05, len(step))
    points, side = [roots.positions], np.where(roots.rest[:, 0] < parting, -1.0, 1.0)
    for k in range(style.segments):
        s = (k + 1) / style.segments
        bend = np.stack([np.sin(phase + 9 * s), np.zeros_like(phase), np.cos(phase + 9 * s)], 1) * wave[:, None]
        pull = np.array([0, -style.gravity * (1 + 0.6 * s), -0.12 if style.longest_m > LONG_HAIR_M else 0])
        direction = unit(direction + pull + bend + draw.normal(0, 0.02, direction.shape))
        clearance = 0.0015 + style.volume_m * min(1, 3 * s)
        after = points[-1] + direction * step
        if style.longest_m > LONG_HAIR_M:
            after = surface.part_from_face(after, side)
        after = surface.push_out(after, clearance)
        direction = unit(after - points[-1])
        points.append(after)
    return np.stack(points, 1)


def _with_side(roots, parting):
    """Root positions with the side of the parting as a fourth axis, so that strands keep to it."""
    return np.concatenate([roots.positions, np.where(roots.rest[:, :1] < parting, -0.02, 0.02)], 1)


def _follow(guides, guide_places, places, style, draw):
    """Strands that follow their three nearest guides (places [., 4]) and bunch towards the first."""
    roots = places[:, :3]
    distance, nearest = cKDTree(guide_places).query(places, k=3)
    weight = 1 / (distance + 0.0006)
    weight = (weight / weight.sum(1, keepdims=True))[:, :, None, None]
    shape = ((guides - guides[:, :1])[nearest] * weight).sum(1)
    along = np.linspace(0, 1, guides.shape[1])[None, :, None]
    stretch = draw.uniform(0.85, 1.05, (len(roots), 1, 1))
    strands = roots[:, None] + shape * stretch
    strands = strands + style.clump * along ** 0.7 * (guides[nearest[:, 0]] - strands)
    frizz = np.cumsum(draw.normal(0, 1, strands.shape), axis=1)
    reach = np.linalg.norm(shape[:, -1], axis=1)[:, None, None]
    return strands + frizz * along * reach * 0.012 / np.sqrt(style.segments)


def _head_hair(surface, identity, grey_of):
    style, draw = STYLES[identity.hair_style], generator(identity.number, "head hair")
    guide_roots = surface.roots("scalp", GUIDES, draw)
    guides = _grow_guides(surface, identity.hair_style, style, guide_roots, identity.parting, draw)
    kept = ~surface.hangs_over_face(guides)
    crowding = None
    if style.longest_m > LONG_HAIR_M:   # combed both ways, a parting is covered by its own roots only
        away = (surface.rest[:, 0] - identity.parting) / PARTING_WIDTH
        crowding = 1 + PARTING_CROWDING * np.exp(-away ** 2) * (surface.rest[:, 1] > PARTING_LOWEST)
    roots = surface.roots("scalp", style.strands, draw, crowding)
    points = _follow(guides[kept], _with_side(guide_roots, identity.parting)[kept],
                     _with_side(roots, identity.parting), style, draw)
    if identity.hair_style != "buzz":
        points = np.concatenate([points[:, :1], surface.push_out(points[:, 1:], 0.0012)], 1)
    free = ~surface.hangs_over_face(points)
    points = np.concatenate([(roots.positions - ROOT_DEPTH_M * roots.normals)[:, None],
                             (roots.positions + ROOT_RISE_M * roots.normals)[:, None], points[:, 1:]], 1)
    return Strands("Hair", "hair", points[free], roots.normals[free], style.root_radius_m, 0.00003,
                   grey_of(int(free.sum()), 1.0), (roots.vertices[free], roots.weights[free]))


def _brows(surface, identity, grey_of):
    draw = generator(identity.number, "brows")
    count = int(2600 * identity.brow_density)
    roots = surface.roots("brows", count, draw)
    normals, rest = roots.normals, roots.rest
    side = np.sign(rest[:, :1])
    u = np.clip((abs(rest[:, 0]) - 0.13) / 0.46, 0, 1)[:, None]
    above = np.clip((rest[:, 1] - brow_height(abs(rest[:, 0]))) / 0.06, -1, 1)[:, None]
    outward = side * np.array([1.0, 0, 0])
    lift = 0.62 - 0.95 * u - 0.4 * above * (u > 0.12)
    direction = _tangent(normals, outward * (0.5 + 0.9 * u) + lift * np.array([0, 1.0, 0])
                         + draw.normal(0, 0.14, normals.shape))
    length = draw.uniform(0.0035, 0.0062, count)[:, None] * (1 - 0.3 * u)
    points = [roots.positions]
    for s in np.linspace(0.2, 1, 5):
        onward = unit(direction + outward * 0.35 * s + normals * (0.13 - 0.13 * s))
        points.append(points[-1] + onward * length / 5)
    return Strands("Brows", "brow", np.stack(points, 1), normals, 0.00005, 0.000015, grey_of(count, 0.3),
                   (roots.vertices, roots.weights))


def _stubble(surface, identity, grey_of):
    draw = generator(identity.number, "stubble")
    count = int(9000 * identity.stubble)
    roots = surface.roots("beard", count, draw)
    start, normals = roots.positions, roots.normals
    direction = unit(0.6 * normals + np.array([0, -0.8, 0.1]) + draw.normal(0, 0.25, normals.shape))
    length = (draw.uniform(0.0006, 0.0021, count) * (0.5 + identity.stubble))[:, None]
    tip = start + unit(direction + np.array([0, -0.2, 0])) * length
    points = np.stack([start, start + direction * length / 2, tip], 1)
    return Strands("Stubble", "brow", points, normals, 0.00005, 0.00002, grey_of(count, 1.0),
                   (roots.vertices, roots.weights))


def _beard(surface, identity, kind, grey_of):
    """A trimmed beard that follows the jaw, or a part of one."""
    draw = generator(identity.number, "beard strands")
    count = {"full": 14000, "goatee": 6000, "moustache": 3500}[kind]
    x, y = abs(surface.rest[:, 0]), surface.rest[:, 1]
    moustache = smoothstep(6.69, 6.73, y) * (x < 0.36) * (surface.rest[:, 2] > 1.25)
    chin = smoothstep(0.34, 0.26, x) * smoothstep(6.62, 6.55, y) + moustache
    where = {"full": np.ones(len(x)), "goatee": chin, "moustache": moustache}[kind]
    roots = surface.roots("beard", count, draw, 1e-6 + where)
    longest = draw.uniform(0.003, 0.009)
    side = np.sign(roots.rest[:, :1])
    above_lip = (roots.rest[:, 1:2] > 6.70) & (abs(roots.rest[:, :1]) < 0.36)
    down = np.where(above_lip, side * np.array([0.9, 0, 0]) + [0, -0.6, 0], np.array([0, -1.0, 0.15]))
    direction = unit(_tangent(roots.normals, down) + 0.45 * roots.normals + draw.normal(0, 0.15, down.shape))
    length = longest * draw.uniform(0.6, 1.0, count)[:, None] * np.where(above_lip, 0.55, 1.0)
    points = [roots.positions - ROOT_DEPTH_M * roots.normals]
    for k in range(BEARD_SEGMENTS):
        direction = unit(direction + [0, -0.10, 0] + draw.normal(0, 0.06, direction.shape))
        onward = points[-1] + direction * length / BEARD_SEGMENTS
        points.append(surface.push_out(onward, 0.0006 + 0.0012 * (k + 1) / BEARD_SEGMENTS))
    return Strands("Beard", "hair", np.stack(points, 1), roots.normals, 0.00006, 0.00002, grey_of(count, 1.0),
                   (roots.vertices, roots.weights))


def grow_hair(identity, look, head_positions_m):
    """Brows, head hair, stubble and beard on the neutral head, without those that are cards. `Strands.moved_with` poses
    them."""
    surface = HeadSurface(head_positions_m)
    bleach = generator(identity.number, "grey")

    def grey_of(count, factor):
        return (bleach.random(count) < identity.grey * factor) * bleach.uniform(0.88, 1.0, count)

    strands = [] if look.brow_cards else [_brows(surface, identity, grey_of)]
    if identity.hair_style != "bald" and not look.hair_cards:
        strands.append(_head_hair(surface, identity, grey_of))
    if look.beard:
        strands.append(_beard(surface, identity, look.beard, grey_of))
    if identity.stubble > 0 and look.beard != "full":
        strands.append(_stubble(surface, identity, grey_of))
    return strands
