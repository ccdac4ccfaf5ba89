"""Head hair, brows and stubble as strands, grown on the neutral head.

Head hair is grown as a few guide strands (direction, gravity, pushed out of the skin), which bunch into locks; every
other strand follows its nearest guides. Hair that is tied is laid around the skull instead.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from .identity import generator
from .masks import brow_height
from .noise import smoothstep
from .strands import Strands
from .subdivision import unit
from .surface import HeadSurface, vertex_mask

GUIDES, LOCKS = 2200, 320
LOCK_BUNCHING = 0.45           # of guides towards their lock's middle, at the tip
PARTING_WIDTH, PARTING_LOWEST, PARTING_CROWDING = 0.11, 7.8, 2.5   # decimetres, decimetres, factor
ROOT_DEPTH_M, ROOT_RISE_M = 0.0005, 0.0012   # strands leave the skin upright, or the first chord stays under it
LENGTHS = (0.75, 1.3)          # of a style's length, by identity
BEARD_SEGMENTS = 5
LONG_HAIR_M = 0.058            # longer hair is combed off the face
WAVE_M, WAVE_LENGTH_M = 0.009, (0.045, 0.085)      # how far hair with a wave of one swings, and how often
COIL_M, COIL_LENGTH_M = 0.0028, (0.012, 0.022)     # the same of curls
# Standard deviations of the logarithm of what a lock's, and each of its guides', melanin absorbs.
LOCK_SHADE, GUIDE_SHADE = 0.28, 0.16
STRAY_SHARE, STRAY = 0.03, 6.0                     # strands that keep to no lock, and how much farther they stray
SHORT_AT_HAIRLINE, SHORTEST_AT_HAIRLINE = 0.5, 0.25    # share of the strands along it that are short, and their length
TIE_REST, TIE_HEIGHT_M, TIE_SPREAD_M = (0.0, 7.55, -1.2), 0.012, 0.005     # hair is tied over the scalp's point nearest to it
TAIL_M, TAIL_POINTS = (0.10, 0.24), 7


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


# Fewer and thicker strands than people's, by which few samples tell one from the next.
STYLES = {
    "buzz": Style(26000, 0.0015, 0.004, 3, 0.0, 0.000065, 0.0, 0.0),
    "short": Style(22000, 0.024, 0.042, 7, 0.14, 0.000110, 0.6, 0.002),
    "curls": Style(24000, 0.022, 0.042, 14, 0.03, 0.000110, 0.6, 0.0),
    "side": Style(21000, 0.045, 0.080, 9, 0.20, 0.000110, 0.6, 0.004),
    "back": Style(22000, 0.050, 0.090, 9, 0.10, 0.000110, 0.6, 0.004),
    "tied": Style(19000, 0.0, 0.0, 12, 0.0, 0.000115, 0.6, 0.003),
    "bob": Style(21000, 0.15, 0.20, 16, 0.45, 0.000120, 0.6, 0.006),
    "long": Style(21000, 0.24, 0.34, 20, 0.55, 0.000120, 0.6, 0.005),
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
    if name == "curls":
        return unit(normals + jitter(0.45))
    if name == "short":
        sweep = np.stack([zero + 0.35 * np.sign(parting), -0.25 * (1 - front), 0.7 * (0.25 + front)], 1)
        return unit(0.5 * normals + 0.8 * _tangent(normals, sweep) + jitter(0.14))
    if name == "back":
        sweep = np.stack([0.25 * side, zero + 0.1, zero - 1.0], 1)
        return unit(_tangent(normals, sweep) + (0.3 + 0.35 * front)[:, None] * normals + jitter(0.06))
    if name == "side":
        sweep = np.stack([side, zero - 0.12, 0.1 - 0.25 * (1 - front)], 1)
        return unit(_tangent(normals, sweep) + 0.5 * normals + jitter(0.07))
    sweep = np.stack([0.9 * side, zero + 0.1, zero - 0.5], 1)
    return unit(_tangent(normals, sweep) + 0.42 * normals + jitter(0.05))


def _lengths(name, style, rest, draw):
    lengths = draw.uniform(style.shortest_m, style.longest_m, len(rest))
    if name in ("short", "curls"):
        return lengths * (0.3 + 0.7 * smoothstep(7.5, 8.2, rest[:, 1]))
    if name in ("side", "back"):
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


def _swing(guides, root_normals, radius_m, length_m, phase):
    """Guides wound around their own paths: `radius_m` wide, a turn for each `length_m` [G], from `phase` [G] on."""
    along = unit(np.gradient(guides, axis=1))
    across = unit(np.cross(along, root_normals[:, None]) + 1e-6)
    step = np.linalg.norm(np.diff(guides, axis=1, prepend=guides[:, :1]), axis=2)
    turn = (phase[:, None] + 2 * np.pi * np.cumsum(step, 1) / length_m[:, None])[..., None]
    grown = smoothstep(0.0, 0.3, np.linspace(0, 1, guides.shape[1]))[:, None]
    return guides + radius_m * grown * (across * np.cos(turn) + np.cross(along, across) * np.sin(turn))


def _tied(surface, roots, style, draw):
    """Strands [N, K, 3] around the skull to where they are tied, and on as a tail."""
    scalp = vertex_mask("scalp") > 0.5
    centre = surface.positions[scalp].mean(0)
    at = np.linalg.norm(surface.rest - np.array(TIE_REST), axis=1).argmin()
    tie = surface.positions[at] + TIE_HEIGHT_M * surface.normals[at] - centre
    start, count = roots.positions - centre, len(roots.positions)
    angle = np.arccos((unit(start) @ unit(tie)).clip(-0.999, 0.999))[:, None, None]
    t = np.linspace(0, 1, style.segments + 1)[None, :, None]
    way = (np.sin((1 - t) * angle) * unit(start)[:, None] + np.sin(t * angle) * unit(tie)) / np.sin(angle)
    around = centre + way * np.linalg.norm(start, axis=1)[:, None, None]
    lifted = 0.0015 + style.volume_m * 4 * (t * (1 - t))[..., 0]
    around[:, 1:] = surface.lay_on(around[:, 1:], np.broadcast_to(lifted, around.shape[:2])[:, 1:])
    ends = centre + tie + draw.normal(0, TIE_SPREAD_M, (count, 3))
    around = around * (1 - t ** 6) + ends[:, None] * t ** 6
    around[:, 2:-1] = 0.25 * around[:, 1:-2] + 0.5 * around[:, 2:-1] + 0.25 * around[:, 3:]
    direction = unit(np.array([0, 0.3, -1.0]) + draw.normal(0, 0.06, (count, 3)))
    step = draw.uniform(*TAIL_M) * draw.uniform(0.7, 1.0, (count, 1)) / TAIL_POINTS
    points = [around[:, -1]]
    for _ in range(TAIL_POINTS):
        direction = unit(direction + np.array([0, -0.5, 0]))
        points.append(surface.push_out(points[-1] + direction * step, 0.004))
    return np.concatenate([around, np.stack(points[1:], 1)], 1)


def _with_side(roots, parting):
    """Root positions with the side of the parting as a fourth axis, so that strands keep to it."""
    return np.concatenate([roots.positions, np.where(roots.rest[:, :1] < parting, -0.02, 0.02)], 1)


def _bunch(points, leads, share):
    """Strands [N, K, 3] drawn towards their lead [N, K, 3], by `share` at the tip."""
    along = np.linspace(0, 1, points.shape[1])[None, :, None]
    return points + share * along ** 0.7 * (leads - points)


def _follow(guides, guide_places, places, style, draw):
    """Strands that follow their three nearest guides (places [., 4]) and bunch towards the first, and its index [N]."""
    distance, nearest = cKDTree(guide_places).query(places, k=3)
    weight = 1 / (distance + 0.0006)
    weight = (weight / weight.sum(1, keepdims=True))[:, :, None, None]
    shape = ((guides - guides[:, :1])[nearest] * weight).sum(1)
    strands = places[:, None, :3] + shape * draw.uniform(0.85, 1.05, (len(places), 1, 1))
    return _bunch(strands, guides[nearest[:, 0]], style.clump), nearest[:, 0]


def _strayed(points, style, draw):
    """Strands with the frizz of each, and a few that stray."""
    along = np.linspace(0, 1, points.shape[1])[None, :, None]
    reach = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1)[:, None, None]
    frizz = np.cumsum(draw.normal(0, 1, points.shape), axis=1) * along * reach * 0.012 / np.sqrt(points.shape[1])
    return points + frizz * np.where(draw.random((len(points), 1, 1)) < STRAY_SHARE, STRAY, 1.0)


def _grown(surface, identity, style, draw, roots):
    """Strands [N, K, 3] at the roots, the logarithm of their shade [N], and the guide [N] that each keeps to."""
    name, parting = identity.hair_style, identity.parting
    guide_roots = surface.roots("scalp", GUIDES, draw)
    places = _with_side(guide_roots, parting)
    lock = cKDTree(places[:LOCKS]).query(places)[1]
    shade = draw.normal(0, LOCK_SHADE, LOCKS)[lock] + draw.normal(0, GUIDE_SHADE, GUIDES)
    if name == "tied":
        guides = _tied(surface, guide_roots, style, draw)
        nearest = cKDTree(places).query(_with_side(roots, parting))[1]
        return _bunch(_tied(surface, roots, style, draw), guides[nearest], style.clump), shade[nearest], nearest
    guides = _grow_guides(surface, name, style, guide_roots, parting, draw)
    guides = _bunch(guides, guides[:LOCKS][lock], LOCK_BUNCHING * (style.clump > 0))
    if name == "curls":
        guides = _swing(guides, guide_roots.normals, COIL_M, draw.uniform(*COIL_LENGTH_M, GUIDES),
                        draw.uniform(0, 2 * np.pi, GUIDES))
    elif style.longest_m > LONG_HAIR_M:
        phase = draw.uniform(0, 2 * np.pi, LOCKS)[lock] + draw.normal(0, 0.4, GUIDES)
        guides = _swing(guides, guide_roots.normals, WAVE_M * identity.hair_wave,
                        draw.uniform(*WAVE_LENGTH_M, LOCKS)[lock], phase)
    kept = np.flatnonzero(~surface.hangs_over_face(guides))
    points, nearest = _follow(guides[kept], places[kept], _with_side(roots, parting), style, draw)
    return points, shade[kept][nearest], kept[nearest]


def _head_hair(surface, identity, grey_of):
    style, draw = STYLES[identity.hair_style], generator(identity.number, "head hair")
    longer = draw.uniform(*LENGTHS)
    style = replace(style, shortest_m=longer * style.shortest_m, longest_m=longer * style.longest_m)
    crowding = None
    if style.longest_m > LONG_HAIR_M:   # combed both ways, a parting is covered by its own roots only
        away = (surface.rest[:, 0] - identity.parting) / PARTING_WIDTH
        crowding = 1 + PARTING_CROWDING * np.exp(-away ** 2) * (surface.rest[:, 1] > PARTING_LOWEST)
    roots = surface.roots("scalp", style.strands, draw, crowding)
    points, shade, lock = _grown(surface, identity, style, draw, roots)
    if identity.hair_style != "buzz":
        points = _strayed(points, style, draw)
        # A hairline is soft because hair is short along it.
        inside = (vertex_mask("scalp")[roots.vertices] * roots.weights).sum(1)
        shortest = np.where(draw.random(len(inside)) < SHORT_AT_HAIRLINE, SHORTEST_AT_HAIRLINE, 1.0)
        length = shortest + (1 - shortest) * smoothstep(0.4, 0.85, inside)
        points = points[:, :1] + (points - points[:, :1]) * length[:, None, None]
        points = np.concatenate([points[:, :1], surface.push_out(points[:, 1:], 0.0012)], 1)
    free = ~surface.hangs_over_face(points)
    points = np.concatenate([(roots.positions - ROOT_DEPTH_M * roots.normals)[:, None],
                             (roots.positions + ROOT_RISE_M * roots.normals)[:, None], points[:, 1:]], 1)
    return Strands("Hair", "hair", points[free], roots.normals[free], style.root_radius_m, 0.00003,
                   grey_of(int(free.sum()), 1.0), (roots.vertices[free], roots.weights[free]), np.exp(shade[free]), lock[free])


def _brows(surface, identity, grey_of):
    draw = generator(identity.number, "brows")
    count = int(1700 * identity.brow_density)
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
    return Strands("Brows", "brow", np.stack(points, 1), normals, 0.000075, 0.000025, grey_of(count, 0.3),
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
