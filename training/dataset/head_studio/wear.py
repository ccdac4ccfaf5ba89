"""Seed -> what somebody wears or holds, and what is behind. `accessories.py` makes it."""

import numpy as np

from .identity import floats, generator
from .variation import APP_KINDS

GLASSES, SUNGLASSES, HEADWEAR, HAND, PROP, ROOM = 0.12, 0.2, 0.05, 0.02, 0.04, 0.5   # shares of the scenes


def rotation(yaw_deg, pitch_deg, roll_deg):
    """Rotation matrix as nested tuples: roll about Z, then pitch about X, then yaw about Y."""
    (cy, sy), (cx, sx), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.radians([yaw_deg, pitch_deg, roll_deg]))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return tuple(floats(row) for row in about_y @ about_x @ about_z)


def _colour(draw, low=0.02, high=0.6):
    return floats((draw.uniform(low, high) * draw.uniform(0.5, 1.2, 3)).clip(0, 0.9))


def _glasses(draw):
    sun = draw.random() < SUNGLASSES
    metal = draw.random() < 0.4
    return dict(half_width_m=float(draw.uniform(0.021, 0.026)), half_height_m=float(draw.uniform(0.015, 0.023)),
                squareness=float(draw.uniform(2.0, 5.0)),
                thickness_m=float(draw.uniform(0.0007, 0.0012) if metal else draw.uniform(0.0012, 0.0024)),
                colour_linear=_colour(draw, 0.3, 0.8) if metal else _colour(draw, 0.005, 0.2), metallic=1.0 if metal else 0.0,
                roughness=float(draw.uniform(0.15, 0.45)), lens_linear=(0.02, 0.02, 0.02) if sun else (0.5, 0.5, 0.5),
                lens_alpha=float(draw.uniform(0.6, 0.9) if sun else draw.uniform(0.02, 0.045)))


def _headwear(draw):
    band = draw.random() < 0.35
    low = float(draw.uniform(7.72, 7.95) if band else draw.uniform(7.6, 7.85))
    return dict(kind="band" if band else "beanie", low_front=low, low_back=low - float(draw.uniform(0.15, 0.6)),
                high=float(draw.uniform(0.2, 0.35)) if band else 9.0,
                lift_m=float(draw.uniform(0.010, 0.014) if band else draw.uniform(0.006, 0.011)),
                evenness=3 if band else 12, colour_linear=_colour(draw))


def _hand(draw):
    side, height = float(draw.choice([-1, 1])), float(draw.uniform(-0.11, 0.0))
    return dict(offset_m=(side * float(draw.uniform(0.02, 0.10)), height - 0.03, 0.115 + float(draw.uniform(0.0, 0.04))),
                rotation=rotation(draw.uniform(-40, 40), draw.uniform(-25, 25), draw.uniform(-60, 60)))


def _prop(draw):
    kind = str(draw.choice(["phone", "cup", "microphone"]))
    place = (float(draw.uniform(-0.07, 0.07)), float(draw.uniform(-0.13, -0.05)), 0.12 + float(draw.uniform(0, 0.05)))
    return dict(kind=kind, offset_m=place,
                rotation=rotation(draw.uniform(-50, 50), draw.uniform(-30, 30), draw.uniform(-40, 40)),
                colour_linear=_colour(draw, 0.01, 0.7), roughness=float(draw.uniform(0.15, 0.7)),
                metallic=float(draw.random() < 0.25))


def _room(draw):
    things = [(float(draw.uniform(-1.2, 1.2)), float(draw.uniform(-0.6, 0.6)), float(draw.uniform(0.1, 0.7)),
               float(draw.uniform(0.1, 1.2)), float(draw.uniform(0.02, 0.2)), _colour(draw))
              for _ in range(int(draw.integers(1, 6)))]
    return dict(distance_m=float(draw.uniform(0.35, 1.8)), rotation=rotation(draw.uniform(-35, 35), 0, 0),
                wall_linear=_colour(draw, 0.1, 0.75), things=tuple(things))


def draw_wear(seed, light_kind):
    """{glasses, headwear, hand, prop, room: parameters} of those that this seed has. A rasteriser's spot lights would cut
    their cones out of a wall, so rooms have the sun or a point light."""
    kinds = {"glasses": (GLASSES, _glasses), "headwear": (HEADWEAR, _headwear), "hand": (HAND, _hand), "prop": (PROP, _prop),
             "room": (ROOM, _room)}
    found = {}
    for kind, (share, make) in kinds.items():
        draw = generator(seed, "wear " + kind)
        if draw.random() < share and (kind != "room" or light_kind in APP_KINDS):
            found[kind] = make(draw)
    return found
