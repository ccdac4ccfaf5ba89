"""Puts an imported head where cameras and lamps expect it: +Y up, +Z out of the face, metres, eyes at `EYES_M`."""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from ..storage import UsageError
from ..subdivision import unit
from .roles import split_off_eyeballs

EYES_M = np.array([0.0, 1.6, 0.1])        # the middle between both eyeballs, after placing
EYE_DISTANCE_M = 0.063                    # between pupils, mean of adults (Dodgson 2004)
STYLISED = 1.8                            # a head is left at its size up to this factor from people's
UNITS_M = (1.0, 0.01, 0.1, 0.001, 0.0254, 100.0)
EYEBALL = (0.1, 0.45)                      # radius over the distance of the eyes, within which an eye is a ball
HEAD_HEIGHT = 3.7                         # chin to crown over the distance of the eyes
EYE_LINE = 0.46                           # of the head's height below its top, hair included
REST_EYES_DM, REST_EYE_DISTANCE_DM = np.array([0.0, 7.28, 1.25]), 0.62
KEPT_BELOW_M, KEPT_ASIDE_M, KEPT_BEHIND_M = 0.42, 0.30, 0.35
NECK_WIDTH = 0.82                         # of the head's width: narrower slices below it are its neck
SLICES = 60


@dataclass(frozen=True)
class Eye:
    """A sphere through an eyeball's front."""

    centre_m: np.ndarray
    radius_m: float


@dataclass
class Head:
    """Placed parts and landmarks. `eyes` are left and right of the person; `found_eyes` is false where they are painted or
    flat."""

    parts: list
    eyes: tuple
    found_eyes: bool
    metres_per_unit: float
    rotation: np.ndarray
    shift_m: np.ndarray        # after turning and scaling

    def eye_distance_m(self):
        return float(np.linalg.norm(self.eyes[0].centre_m - self.eyes[1].centre_m))

    def rest(self, positions_m):
        """Points as they would lie on the base mesh at rest, decimetres, so that the masks of `masks.py` hold roughly."""
        middle = (self.eyes[0].centre_m + self.eyes[1].centre_m) / 2
        return (positions_m - middle) * (REST_EYE_DISTANCE_DM / self.eye_distance_m()) + REST_EYES_DM

    def gaze_point(self):
        """The point that the camera aims at, as in `scene.Figure`: between the eyes and the mouth, on the face's middle axis."""
        middle = (self.eyes[0].centre_m + self.eyes[1].centre_m) / 2
        return middle + np.array([0.0, -0.018, -0.055]) * self.eye_distance_m() / EYE_DISTANCE_M


def fit_sphere(points):
    """Centre and radius of the sphere nearest to points [N, 3], by linear least squares."""
    solution = np.linalg.lstsq(np.concatenate([2 * points, np.ones((len(points), 1))], 1),
                               (points ** 2).sum(1), rcond=None)[0]
    return solution[:3], float(math.sqrt(max(solution[3] + (solution[:3] ** 2).sum(), 0.0)))


def _points(parts, *roles):
    chosen = [part.positions[np.unique(part.triangles)] for part in parts if part.role in roles]
    return np.concatenate(chosen) if chosen else np.zeros((0, 3))


def two_halves(points):
    """True for the points [N] of one of two clusters, along the line on which they lie farthest apart."""
    middle = points.mean(0)
    axis = np.linalg.svd((points - middle)[::max(1, len(points) // 2000)], full_matrices=False)[2][0]
    along = (points - middle) @ axis
    return along > (along.min() + along.max()) / 2


def _eyeballs(parts):
    """Two point clouds of eyeballs, or None where no part is an eye."""
    points = _points(parts, "eye")
    if len(points) < 8:
        return None
    half = two_halves(points)
    return (points[half], points[~half]) if 0 < half.sum() < len(points) else None


def _rotations():
    """The 24 turns that bring axes onto axes, the identity first."""
    found = [np.array([np.eye(3)[axis] * sign for axis, sign in zip(order, signs)])
             for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)]
    proper = [turn for turn in found if np.linalg.det(turn) > 0]
    return sorted(proper, key=lambda turn: -np.trace(turn))


def _upright(parts, eyes):
    """The turn that agrees best with where eyes, skin, teeth and body are. The file's own axes win ties."""
    middle = (eyes[0].mean(0) + eyes[1].mean(0)) / 2
    across = unit(eyes[0].mean(0) - eyes[1].mean(0))
    apart = np.linalg.norm(eyes[0].mean(0) - eyes[1].mean(0))
    everything = _points(parts, "skin", "hair", "cloth", "other")
    near = everything[np.linalg.norm(everything - middle, axis=1) < 2.2 * apart]
    ahead = unit(middle - near.mean(0)) if len(near) else np.zeros(3)
    down = np.zeros(3)
    if len(mouth := _points(parts, "teeth", "mouth")):
        down = down + unit(mouth.mean(0) - middle)
    far = everything[np.linalg.norm(everything - middle, axis=1) > 4 * apart]
    if len(far):
        down = down + unit(far.mean(0) - middle)

    def agreement(turn):
        return abs((turn @ across)[0]) + (turn @ ahead)[2] - (turn @ down)[1]

    turns = _rotations()
    best = max(turns, key=agreement)
    return turns[0] if agreement(turns[0]) > agreement(best) - 0.25 else best


def _turn_of(rotate_deg):
    x, y, z = np.radians(rotate_deg)
    about = (np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]]),
             np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]]),
             np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]]))
    return about[2] @ about[1] @ about[0]


def moved(parts, turn, factor, shift):
    """The parts, turned, then scaled, then shifted."""
    return [replace(part, positions=part.positions @ turn.T * factor + shift, normals=part.normals @ turn.T,
                    morphs={name: offsets @ turn.T * factor for name, offsets in part.morphs.items()}) for part in parts]


def factor_to_metres(eye_distance):
    """Metres for a unit of the file: one of the usual units where that makes a head of about people's size, a metre first;
    otherwise what makes it people's size."""
    wanted = EYE_DISTANCE_M / eye_distance
    fitting = [unit_m for unit_m in UNITS_M if 1 / STYLISED < wanted / unit_m < STYLISED]
    if 1.0 in fitting:
        return 1.0
    return min(fitting, key=lambda unit_m: abs(math.log(wanted / unit_m)), default=wanted)


def _on_bone(parts):
    """Points that the head's bone moves, or none."""
    chosen = [part.positions[part.on_head > 0.5] for part in parts
              if part.on_head is not None and part.role in ("skin", "hair", "eye")]
    return np.concatenate(chosen) if chosen else np.zeros((0, 3))


def uppermost_head(points):
    """Height of the chin's level in a cloud [N, 3] with +Y up: below the crown, the first slice that is narrow as a neck;
    the lowest point where there is none."""
    top, bottom = points[:, 1].max(), points[:, 1].min()
    edges = np.linspace(top, bottom, SLICES + 1)
    middle = np.median(points[points[:, 1] > edges[SLICES // 6], 0])
    widest = 0.0
    for above, below in zip(edges, edges[1:]):
        inside = points[(points[:, 1] <= above) & (points[:, 1] >= below)]
        width = 2 * np.quantile(abs(inside[:, 0] - middle), 0.9) if len(inside) > 3 else widest
        # A head is about as wide as 0.7 of its height, so a narrow crown is not yet a neck.
        if widest > 0 and width < NECK_WIDTH * widest and top - below > 0.8 * widest:
            return below
        widest = max(widest, width)
    return bottom


def _eyes_of_outline(parts, document):
    """Both eyes where they are painted on, from the outline of an upright head."""
    cloud = _on_bone(parts)
    if len(cloud) < 20:
        cloud = _points(parts, "skin", "hair")
    chin = uppermost_head(cloud)
    head = cloud[cloud[:, 1] >= chin]
    top = head[:, 1].max()
    height = top - chin
    if not height > 0:
        raise UsageError(f"{document.path}: the head has no height; expected a head that stands upright, or "
                         f"placement.rotate_deg in {document.toml}")
    level = top - EYE_LINE * height
    slab = head[abs(head[:, 1] - level) < 0.1 * height]
    slab = slab if len(slab) else head
    front, middle, apart = slab[:, 2].max(), np.median(slab[:, 0]), height / HEAD_HEIGHT
    radius = 0.19 * apart
    return tuple(Eye(np.array([middle + side * apart / 2, level, front - 2.2 * radius]), radius) for side in (1, -1))


def _crop(part):
    """The part near the head, or None: the rest of a body would cost shadow resolution."""
    offset = part.positions - EYES_M
    near = ((offset[:, 1] > -KEPT_BELOW_M) & (abs(offset[:, 0]) < KEPT_ASIDE_M) & (abs(offset[:, 2]) < KEPT_BEHIND_M))
    kept = near[part.triangles].all(1)
    return part.keep_triangles(kept) if kept.any() else None


def place(parts, settings, document):
    """The head of these parts, upright and in metres. `settings` are a `settings.Placement`."""
    height = np.ptp(_points(parts, "skin"), 0).max()
    for guess in (height, height / 2, height / 4, height / 7.5):    # a head alone, a bust, half a body, a body
        parts = split_off_eyeballs(parts, guess)
    balls = None if settings.eyes else _eyeballs(parts)
    if settings.rotate_deg:
        turn = _turn_of(settings.rotate_deg)
    else:
        turn = _upright(parts, balls) if balls else np.eye(3)
    parts = moved(parts, turn, 1.0, np.zeros(3))
    round_eyes = False
    if balls:
        spheres = sorted((Eye(*fit_sphere(cloud @ turn.T)) for cloud in balls), key=lambda eye: -eye.centre_m[0])
        apart = np.linalg.norm(spheres[0].centre_m - spheres[1].centre_m)
        round_eyes = all(EYEBALL[0] < eye.radius_m / apart < EYEBALL[1] for eye in spheres)
        if not round_eyes:         # Flat eyes, as comics have them, have no centre to turn about.
            spheres = [Eye(cloud.mean(0), 0.19 * apart) for cloud in sorted((cloud @ turn.T for cloud in balls),
                                                                            key=lambda cloud: -cloud[:, 0].mean())]
        factor = settings.metres_per_unit or factor_to_metres(np.linalg.norm(spheres[0].centre_m - spheres[1].centre_m))
    elif settings.eyes:
        factor = settings.metres_per_unit or 1.0
        apart = np.linalg.norm(np.subtract(*settings.eyes))
        spheres = [Eye(np.array(eye) / factor, 0.19 * apart / factor)
                   for eye in sorted(settings.eyes, key=lambda eye: -eye[0])]
    else:
        spheres = _eyes_of_outline(parts, document)
        factor = settings.metres_per_unit or factor_to_metres(np.linalg.norm(spheres[0].centre_m - spheres[1].centre_m))
    middle = (spheres[0].centre_m + spheres[1].centre_m) / 2
    shift = EYES_M - middle * factor
    parts = [cropped for part in moved(parts, np.eye(3), factor, shift) if (cropped := _crop(part)) is not None]
    if not any(part.role == "skin" for part in parts):
        raise UsageError(f"{document.path}: no skin lies around the eyes; say where the head is with [placement] in "
                         f"{document.toml} (`settings.py` lists its keys)")
    eyes = tuple(Eye(eye.centre_m * factor + shift, eye.radius_m * factor) for eye in spheres)
    return Head(parts, eyes, round_eyes, factor, turn, shift)
