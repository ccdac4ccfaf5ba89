"""A game's own lamps: those of a .glb or .gltf file (KHR_lights_punctual), and the same lamps about a placed head.

A file's lamps stand in the space of the character's file. Bevy and Cycles get them as glTF defines them, with three liberties: a
range is what it leaves of a lamp at the face, a cone ends at `WIDEST_CONE_RAD`, and lamps that do not reach the face are left out.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..lighting import LUMINANCE, POINT_DIAMETER_M, PointLight, SpotLight, Sun
from ..storage import UsageError
from .glb import read_nodes
from .parts import world_matrices

EXTENSION = "KHR_lights_punctual"
MAX_LAMPS = 10                 # directional lights that Bevy draws
WIDEST_CONE_RAD = 1.4          # from its axis: Bevy's shadow maps of wider ones have no resolution left
NEAREST_M = 0.12               # from the middle of the face: a head of people's size is larger
KINDS = ("directional", "point", "spot")
OUTER_CONE_RAD = math.pi / 4   # glTF's default


@dataclass(frozen=True)
class Lamp:
    """A lamp as its file has it, in the file's units and space."""

    kind: str
    name: str
    position: np.ndarray
    direction: np.ndarray      # unit, the way it shines
    colour_linear: tuple       # luminance one
    intensity: float           # lux of a directional lamp, candela of others
    range: float
    inner_angle_rad: float
    outer_angle_rad: float


def _number(where, entry, key, default, fits, expected):
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not fits(value):
        raise UsageError(f"{where}: {key} is {value!r}; expected {expected}")
    return float(value)


def _lamp(path, node, entry, world):
    name = node.get("name") or entry.get("name") or "Lamp"
    where, kind = f"{path}: lamp {name!r}", entry.get("type")
    if kind not in KINDS:
        raise UsageError(f"{where}: type is {kind!r}; expected any of {', '.join(KINDS)}")
    unit = "lux" if kind == "directional" else "candela"
    intensity = _number(where, entry, "intensity", 1.0, lambda value: 0 < value < math.inf,
                        f"{unit} above 0: make it shine, or take it out of the file")
    colour = entry.get("color", [1.0, 1.0, 1.0])
    if not (isinstance(colour, list) and len(colour) == 3 and all(isinstance(c, (int, float)) and 0 <= c < math.inf for c in colour)
            and any(colour)):
        raise UsageError(f"{where}: color is {colour!r}; expected three numbers of 0 or more, not all 0")
    luminance = float(np.array(colour) @ LUMINANCE)
    reach = _number(where, entry, "range", math.inf, lambda value: value > 0, "a number above 0, or none")
    cone = entry.get("spot", {}) if kind == "spot" else {}
    outer = _number(where, cone, "outerConeAngle", OUTER_CONE_RAD, lambda value: 0.001 <= value <= math.pi / 2 + 1e-4,
                    "0.001 to pi / 2 radians")
    inner = _number(where, cone, "innerConeAngle", 0.0, lambda value: 0 <= value <= outer, "0 to outerConeAngle, in radians")
    along = world[:3, :3] @ [0.0, 0.0, -1.0]
    length = np.linalg.norm(along)
    if not (np.isfinite(world).all() and length > 0):
        raise UsageError(f"{where}: its node has no place or direction; expected finite numbers and a scale other than 0")
    outer = min(outer, WIDEST_CONE_RAD)
    return Lamp(kind, name, world[:3, 3], along / length, tuple(c / luminance for c in colour), intensity * luminance, reach,
                min(inner, outer), outer)


def _lamps(document):
    entries = document.json.get("extensions", {}).get(EXTENSION, {}).get("lights", [])
    for index, world in sorted(world_matrices(document).items()):
        node = document.entries("nodes")[index]
        if (number := node.get("extensions", {}).get(EXTENSION, {}).get("light")) is not None:
            yield _lamp(document.path, node, entries[number], world)


def read_lamps(path):
    """The lamps of a .glb or .gltf file's default scene, 1 to `MAX_LAMPS`."""
    document = read_nodes(path)
    try:
        found = list(_lamps(document))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path}: is no valid glTF: {type(error).__name__}: {error}; export it anew") from error
    if not found:
        raise UsageError(f"{path}: has no lamps in its default scene; expected 1 to {MAX_LAMPS} directional, point or spot lights "
                         f"({EXTENSION}). Blender exports suns, points and spots where the exporter's \"Punctual Lights\" is on, area "
                         "lights never")
    if len(found) > MAX_LAMPS:
        raise UsageError(f"{path}: has {len(found)} lamps; expected 1 to {MAX_LAMPS}: leave out those that matter least to a face, or "
                         "make several files")
    return found


def _placed(lamp, head, target_m):
    """The lamp about a placed head. Its irradiance there is what it is in the file's own space."""
    direction = head.rotation @ lamp.direction
    if lamp.kind == "directional":
        return Sun(lamp.name, direction, lamp.intensity, lamp.colour_linear)
    position_m = head.rotation @ lamp.position * head.metres_per_unit + head.shift_m
    distance = np.linalg.norm(position_m - target_m) / head.metres_per_unit
    # The window of KHR_lights_punctual, across a head about the same everywhere.
    within = float(np.clip(1 - (distance / lamp.range) ** 4, 0, 1))
    power_w = 4 * math.pi * lamp.intensity * within * head.metres_per_unit ** 2
    ball = (POINT_DIAMETER_M, power_w, lamp.colour_linear)
    if lamp.kind == "point":
        return PointLight(lamp.name, position_m, *ball)
    return SpotLight(lamp.name, position_m, direction, *ball, lamp.inner_angle_rad, lamp.outer_angle_rad)


def place_lamps(path, lamps, head):
    """These lamps of a file about a `placement.Head`, as `lighting.py` has them, those that reach the face."""
    target_m = head.gaze_point()
    placed = [_placed(lamp, head, target_m) for lamp in lamps]
    for lamp in placed:
        if not isinstance(lamp, Sun) and np.linalg.norm(lamp.position_m - target_m) < NEAREST_M:
            raise UsageError(f"{path}: lamp {lamp.name!r} stands in the head; expected lamps about the character as its own file has "
                             "it: the same origin, axes and unit")
    reaching = [lamp for lamp in placed if lamp.irradiance(target_m) > 0]
    if not reaching:
        raise UsageError(f"{path}: none of its lamps reaches the face: ranges or cones end before; expected lamps about the character "
                         "as its own file has it: the same origin, axes and unit")
    return reaching


def lamps_about(head, files):
    """{kind of light: lamps about a placed head} of the files {kind of light: `settings.LampFile`}."""
    return {kind: place_lamps(file.path, read_lamps(file.path), head) for kind, file in files.items()}
