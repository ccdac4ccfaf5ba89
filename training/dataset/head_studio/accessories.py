"""What people wear and what is around them: glasses, headwear, a hand or a thing in front, a room behind.

Positions are in world space, metres; the face looks along +Z.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from .anatomy import METRES_PER_BASE_UNIT, cut_part, head_part
from .noise import smoothstep
from .subdivision import triangles_of, unit, vertex_normals

TEMPLE_M = 0.115               # from the hinge to behind the ear
UNDER_HEADWEAR_M = 0.045       # hair that is nearer to a covered scalp is under the hat
ROOT_UNDER_HEADWEAR_M = 0.004
HAND_FROM = 4.05               # decimetres from the body's middle at rest: the wrist


@dataclass(frozen=True)
class Item:
    """Triangles [T, 3] with one plain material; alpha below one is glass."""

    name: str
    positions: np.ndarray
    triangles: np.ndarray
    colour_linear: tuple
    roughness: float = 0.6
    metallic: float = 0.0
    alpha: float = 1.0

    def normals(self):
        return vertex_normals(self.positions, self.triangles[:, [0, 1, 2, 2]])


def _tube(points, radius_m, closed, sides=8):
    """Positions and triangles of a tube along points [N, 3]."""
    along = unit(np.roll(points, -1, 0) - np.roll(points, 1, 0)) if closed else unit(np.gradient(points, axis=0))
    helper = np.where(abs(along[:, 1:2]) > 0.9, [[0, 0, 1.0]], [[0, 1.0, 0]])
    side = unit(np.cross(along, helper))
    up = np.cross(side, along)
    turns = 2 * np.pi * np.arange(sides) / sides
    rings = points[:, None] + radius_m * (side[:, None] * np.cos(turns)[:, None] + up[:, None] * np.sin(turns)[:, None])
    count = len(points)
    ring, k = np.meshgrid(np.arange(count if closed else count - 1), np.arange(sides), indexing="ij")
    after, next_k = (ring + 1) % count, (k + 1) % sides
    quads = np.stack([ring * sides + k, ring * sides + next_k, after * sides + next_k, after * sides + k], -1)
    return rings.reshape(-1, 3), triangles_of(quads.reshape(-1, 4))


def _joined(parts):
    """One mesh of several (positions, triangles)."""
    starts = np.cumsum([0] + [len(positions) for positions, _ in parts])
    return (np.concatenate([positions for positions, _ in parts]),
            np.concatenate([triangles + start for (_, triangles), start in zip(parts, starts)]))


def _box(low, high):
    """An axis-aligned box with a vertex for each corner of each side."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    sides = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    positions = (np.array(low) + corners * (np.array(high) - np.array(low)))[np.array(sides).ravel()]
    return positions, triangles_of(np.arange(24).reshape(6, 4))


def make_glasses(figure, wear):
    """Frame and lenses in front of the eyes, temples to the ears."""
    left, right = sorted(figure.eyes, key=lambda eye: -eye.centre_m[0])
    middle, gap = (left.centre_m + right.centre_m) / 2, left.centre_m[0] - right.centre_m[0]
    head = figure.head
    near = (abs(head[:, 0]) < 0.012) & (abs(head[:, 1] - middle[1] + 0.004) < 0.012)
    depth = max(middle[2] + left.radius_m + 0.012, head[near, 2].max() + 0.002)
    half_w, half_h = min(wear["half_width_m"], gap / 2 - 0.006), wear["half_height_m"]
    turns = 2 * np.pi * np.arange(48) / 48
    power = 2 / wear["squareness"]
    shape = np.stack([np.sign(np.cos(turns)) * abs(np.cos(turns)) ** power * half_w,
                      np.sign(np.sin(turns)) * abs(np.sin(turns)) ** power * half_h], 1)
    frame, lenses = [], []
    for eye in (left, right):
        centre = np.array([eye.centre_m[0] * 1.04, eye.centre_m[1] - 0.003, depth])
        rim = centre + np.stack([shape[:, 0], shape[:, 1], -0.9 * abs(centre[0] + shape[:, 0]) ** 2 * 3], 1)
        frame.append(_tube(rim, wear["thickness_m"], True))
        fan = np.stack([np.full(48, 48), np.arange(48), (np.arange(48) + 1) % 48], 1)
        lenses.append((np.concatenate([rim, rim.mean(0, keepdims=True)]), fan))
        side = np.sign(centre[0])
        hinge = rim[(side * rim[:, 0] + 0.3 * rim[:, 1]).argmax()]
        beside = head[(side * head[:, 0] > 0.05) & (abs(head[:, 1] - hinge[1]) < 0.012) & (head[:, 2] > hinge[2] - 0.11)]
        widest = 0.002 + (side * beside[:, 0]).max() * 0.98 if len(beside) else side * hinge[0]
        along = np.linspace(0, 1, 14)
        path = hinge + np.stack([side * (widest - side * hinge[0]) * smoothstep(0.0, 0.6, along),
                                 -0.014 * smoothstep(0.75, 1.0, along), -TEMPLE_M * along], 1)
        frame.append(_tube(path, wear["thickness_m"] * 1.1, False))
    ends = np.array([[x * (gap / 2 * 1.04 - half_w), left.centre_m[1] + 0.004, depth] for x in (1, 0, -1)])
    ends[1] += [0, 0.003, 0.003]
    frame.append(_tube(ends, wear["thickness_m"], False))
    return [Item("Glasses", *_joined(frame), wear["colour_linear"], wear["roughness"], wear["metallic"]),
            Item("Lenses", *_joined(lenses), wear["lens_linear"], 0.03, 0.0, wear["lens_alpha"])]


@functools.cache
def _cap_layout(low_front, low_back, high):
    """Quads of the head between two tilted planes at rest, and the matrix that evens their border out."""
    part = head_part()
    rest, quads = part.rest, part.mesh.quads
    edge = low_back + (low_front - low_back) * np.clip((rest[:, 2] + 0.9) / 2.2, 0, 1)
    inside = (rest[:, 1] > edge) & (rest[:, 1] < edge + high) & (abs(rest[:, 0]) < 1.2)
    chosen = quads[inside[quads].all(1)]
    used, compact = np.unique(chosen, return_inverse=True)
    compact = compact.reshape(chosen.shape)
    pairs = np.stack([compact, np.roll(compact, -1, 1)], 2).reshape(-1, 2)
    links = sparse.coo_matrix((np.ones(2 * len(pairs)), (pairs.ravel(), pairs[:, ::-1].ravel())), (len(used),) * 2).tocsr()
    step = 0.5 * sparse.identity(len(used)) + 0.5 * sparse.diags(1 / np.asarray(links.sum(1)).ravel()) @ links
    return used, compact, step


def make_headwear(figure, wear):
    """A beanie, or a headband: the scalp lifted, evened out and given an inside."""
    used, quads, step = _cap_layout(wear["low_front"], wear["low_back"], wear["high"])
    normals = vertex_normals(figure.head, head_part().mesh.quads)[used]
    outer = figure.head[used] + normals * wear["lift_m"]
    for _ in range(wear["evenness"]):
        outer = step @ outer
    outer = outer + vertex_normals(outer, quads) * 0.002
    inner = figure.head[used] + normals * 0.001
    count = len(used)
    edges = np.stack([quads, np.roll(quads, -1, 1)], 2).reshape(-1, 2)
    _, index, uses = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
    border = edges[uses[index.ravel()] == 1]
    rim = np.stack([border[:, 1], border[:, 0], border[:, 0] + count, border[:, 1] + count], 1)
    quads = np.concatenate([quads, quads[:, ::-1] + count, rim])
    return [Item("Headwear", np.concatenate([outer, inner]), triangles_of(quads), wear["colour_linear"], 0.85)]


def below_headwear(figure, cards, wear):
    """Hair cards without the triangles that headwear covers: those near the scalp above its lower edge."""
    used, _, _ = _cap_layout(wear["low_front"], wear["low_back"], wear["high"])
    distance, _ = cKDTree(figure.head[used]).query(cards.positions, distance_upper_bound=UNDER_HEADWEAR_M)
    hidden = np.isfinite(distance)[cards.triangles].any(1)
    return replace(cards, triangles=cards.triangles[~hidden], corner_uvs=cards.corner_uvs[~hidden])


def strands_below_headwear(figure, bundle, wear):
    """Strands without those that are rooted under headwear."""
    used, _, _ = _cap_layout(wear["low_front"], wear["low_back"], wear["high"])
    distance, _ = cKDTree(figure.head[used]).query(bundle.points[:, 0], distance_upper_bound=ROOT_UNDER_HEADWEAR_M)
    return bundle.only(~np.isfinite(distance))


@functools.cache
def _hand_part():
    return cut_part("body", 1, lambda corners: corners[..., 0].min(1) > HAND_FROM)


def make_hand(figure, wear, skin_linear):
    """The person's left hand, raised in front of the face or beside it."""
    points = _hand_part().pose_m(figure.base_vertices)
    quads = _hand_part().mesh.quads
    centre = points.mean(0)
    axes = np.linalg.svd(points - centre, full_matrices=False)[2]
    along = axes[0] * np.sign(axes[0] @ (points[points[:, 0].argmax()] - centre))
    thin = axes[2] * np.sign(axes[2][1] or 1)
    local = (points - centre) @ np.stack([np.cross(along, thin), along, thin], 1)
    turn = np.array(wear["rotation"])
    place = figure.gaze_point() + np.array(wear["offset_m"])
    return [Item("Hand", local @ turn.T + place, triangles_of(quads), tuple(skin_linear), 0.5)]


def make_prop(figure, wear):
    """A phone, a cup or a microphone in front of the chin."""
    place = figure.gaze_point() + np.array(wear["offset_m"])
    kind, turn = wear["kind"], np.array(wear["rotation"])
    if kind == "phone":
        positions, triangles = _box([-0.036, -0.075, -0.004], [0.036, 0.075, 0.004])
    elif kind == "cup":
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        profile = np.array([[0.0, -0.05], [0.036, -0.05], [0.041, 0.05], [0.038, 0.05], [0.034, -0.045], [0.0, -0.045]])
        positions, triangles = _turned(profile, angles)
    else:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ball = np.linspace(-1.2, np.pi / 2, 10)
        handle = [[0.0, -0.2], [0.012, -0.2], [0.016, -0.03]]
        profile = np.concatenate([handle, 0.027 * np.stack([np.cos(ball), np.sin(ball)], 1)])
        positions, triangles = _turned(profile, angles)
    return [Item(kind.capitalize(), positions @ turn.T + place, triangles, wear["colour_linear"], wear["roughness"],
                 wear["metallic"])]


def _turned(profile, angles):
    """A solid of revolution about +Y of a profile [N, 2] (radius, height) from its lower to its upper end."""
    count = len(angles)
    points = np.stack([profile[:, :1] * np.cos(angles), np.broadcast_to(profile[:, 1:], (len(profile), count)),
                       -profile[:, :1] * np.sin(angles)], -1).reshape(-1, 3)
    ring, k = np.meshgrid(np.arange(len(profile) - 1), np.arange(count), indexing="ij")
    after = (k + 1) % count
    quads = np.stack([ring * count + k, ring * count + after, (ring + 1) * count + after, (ring + 1) * count + k], -1)
    return points, triangles_of(quads.reshape(-1, 4))


def make_room(figure, wear):
    """A wall behind the head, with things before it: a frame, shelves or pillars."""
    target = figure.gaze_point()
    turn = np.array(wear["rotation"])
    place = lambda part: ((part[0]) @ turn.T + target, part[1])
    distance = -wear["distance_m"]
    items = [Item("Wall", *place(_box([-6, -4, distance - 0.1], [6, 4, distance])), wear["wall_linear"], 0.8)]
    for number, (x, y, width, height, depth, colour) in enumerate(wear["things"]):
        low = [x - width / 2, y - height / 2, distance]
        part = _box(low, [x + width / 2, y + height / 2, distance + depth])
        items.append(Item(f"Thing{number}", *place(part), tuple(colour), 0.6))
    return items
