"""Number -> surroundings of a photographer's studio: soft boxes, strips and reflectors in a dim room.

The few photographed surroundings that can be had are mostly outdoors; games light faces indoors just as often.
"""

import numpy as np

from . import lighting
from .identity import generator

PREFIX = "soft_boxes_"         # of the surroundings' name, before the number
HEIGHT_PX = 256
EDGE_DEG = 1.5                 # half the width of a box's soft edge


def _box(draw, towards):
    """Radiance [H, W, 3] of one source, seen in the directions `towards` [H, W, 3]."""
    strip = draw.random() < 0.3
    half_deg = np.array([draw.uniform(4, 9), draw.uniform(20, 45)]) if strip else draw.uniform(8, 38, 2)
    middle = lighting.spherical(draw.uniform(-180, 180), draw.uniform(-15, 75))
    right = np.cross([0, 1.0, 0], middle)
    right /= np.linalg.norm(right)
    up = np.cross(middle, right)
    ahead = np.maximum(towards @ middle, 1e-6)
    angles_deg = np.degrees(np.stack([np.arctan2(towards @ axis, ahead) for axis in (right, up)], 2))
    inside = np.clip((half_deg - np.abs(angles_deg)) / (2 * EDGE_DEG) + 0.5, 0, 1).prod(2)
    # Brighter where the lamp stands behind the cloth.
    falloff = 1 - draw.uniform(0, 0.6) * np.clip((angles_deg / half_deg) ** 2, 0, 1).mean(2)
    colour = np.array(lighting.kelvin_to_linear(draw.uniform(3000, 8000)))
    return (inside * falloff)[..., None] * colour * np.exp(draw.uniform(np.log(2), np.log(40)))


def make(number):
    """Linear radiance [256, 512, 3], equirectangular as `lighting.py` says; brighter and dimmer by chance."""
    draw = generator(number, "soft boxes")
    towards, _ = lighting.directions(HEIGHT_PX, 2 * HEIGHT_PX, 0)
    wall = draw.uniform(0.01, 0.5) * draw.uniform(0.7, 1.2, 3)
    ceiling, floor = wall * draw.uniform(0.5, 1.5, 3), wall * draw.uniform(0.2, 1.3, 3)
    height = towards[..., 1, None]
    room = wall + (ceiling - wall) * np.clip(height, 0, 1) + (floor - wall) * np.clip(-height, 0, 1)
    return room + sum(_box(draw, towards) for _ in range(draw.integers(1, 5)))
