"""Eyes: where they sit, which way they look, their mesh (a globe with its cornea) and the iris texture.

An eye mesh is a unit globe around +Z, its gaze; `EyePlace` scales, turns and moves it.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .anatomy import METRES_PER_BASE_UNIT, base_mesh
from .identity import generator
from .lighting import LUMINANCE
from .noise import smoothstep

IRIS_RADIUS = 0.45             # over the globe's radius
CORNEA_RADIUS = 0.64
SEGMENTS = 48
PHOTO_EYE_GAIN = 0.75
PHOTO_EYE_MIDDLE, PHOTO_IRIS_RADIUS = (0.706, 0.2965), 0.120    # of MakeHuman's pictures of eyes, in widths
PALETTE = {                    # outer and inner iris colour, linear Rec.709
    "brown": ((0.20, 0.09, 0.035), (0.10, 0.04, 0.015)),
    "dark_brown": ((0.075, 0.032, 0.016), (0.03, 0.014, 0.008)),
    "blue": ((0.12, 0.18, 0.25), (0.045, 0.08, 0.135)),
    "green": ((0.12, 0.145, 0.065), (0.05, 0.07, 0.03)),
    "grey": ((0.15, 0.17, 0.19), (0.06, 0.075, 0.09)),
    "hazel": ((0.24, 0.16, 0.06), (0.11, 0.11, 0.05)),
}
SCLERA_LINEAR = np.array([0.49, 0.455, 0.43])
LIMBAL_RING = 0.7              # how much darker an iris is at its edge


@dataclass(frozen=True)
class EyePlace:
    """Side `l` or `r`, centre [3] and radius in metres, and the rotation [3, 3] of its gaze."""

    side: str
    centre_m: np.ndarray
    radius_m: float
    rotation: np.ndarray


def gaze_rotation(gaze_deg):
    """The rotation [3, 3] of eyes that look straight ahead; gaze yaw to the person's left, pitch up."""
    yaw, pitch = np.radians(gaze_deg[0]), np.radians(gaze_deg[1])
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
    return about_y @ about_x


def place_eyes(base_vertices, gaze_deg):
    """Both eyes for shaped base vertices."""
    rotation = gaze_rotation(gaze_deg)
    places = []
    for side in "lr":
        points = base_vertices[base_mesh().group_vertices(f"helper-{side}-eye")] * METRES_PER_BASE_UNIT
        low, high = points.min(0), points.max(0)
        places.append(EyePlace(side, (low + high) / 2, float((high - low).mean() / 2), rotation))
    return places


def _profile():
    """(radius, z) points from the front pole to the back pole of the unit globe with its cornea."""
    rim = math.asin(IRIS_RADIUS)
    offset = math.cos(rim) - math.sqrt(CORNEA_RADIUS ** 2 - IRIS_RADIUS ** 2)
    angles = np.linspace(0, math.asin(IRIS_RADIUS / CORNEA_RADIUS), 14)
    front = [(max(1e-4, CORNEA_RADIUS * math.sin(a)), offset + CORNEA_RADIUS * math.cos(a)) for a in angles]
    return front + [(1.004 * math.sin(a), 1.004 * math.cos(a)) for a in np.linspace(rim * 1.16, math.pi - 0.01, 24)]


def globe():
    """Vertices [V, 3], quads [F, 4] (outward), uvs [V, 2] (v up) of a unit eye that bulges over the iris."""
    profile = _profile()
    turns = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    rings = [np.stack([r * np.cos(turns), r * np.sin(turns), np.full(SEGMENTS, z)], 1) for r, z in profile]
    vertices = np.concatenate(rings)
    ring, k = np.meshgrid(np.arange(len(profile) - 1), np.arange(SEGMENTS), indexing="ij")
    here, there, after = ring * SEGMENTS, (ring + 1) * SEGMENTS, (k + 1) % SEGMENTS
    quads = np.stack([here + k, there + k, there + after, here + after], -1).reshape(-1, 4)
    radius = np.hypot(vertices[:, 0], vertices[:, 1])
    outside = np.where(vertices[:, 2] < 0, 1.0, radius)[:, None]
    uvs = vertices[:, :2] / np.maximum(radius, 1e-9)[:, None] * np.minimum(outside, 1) * 0.49 + 0.5
    return vertices, quads, uvs


def _iris_fibres(radius, angle, draw):
    total = np.zeros_like(radius)
    for octave in range(4):
        count = 36 * 2 ** octave
        table = draw.random((count, 12))
        around = ((angle / (2 * np.pi) + 0.5) * count + 0.6 * np.sin(radius * 20 + octave)) % count
        out = np.clip(radius / IRIS_RADIUS, 0, 0.999) * 11
        a, b = np.floor(around).astype(int) % count, np.floor(out).astype(int)
        fa, fb = around - np.floor(around), out - b
        fa = fa * fa * (3 - 2 * fa)
        a2, b2 = (a + 1) % count, np.minimum(b + 1, 11)
        total += ((table[a, b] * (1 - fa) + table[a2, b] * fa) * (1 - fb)
                  + (table[a, b2] * (1 - fa) + table[a2, b2] * fa) * fb) * 0.6 ** octave
    return total / 2.1


def _veins(size_px, draw):
    """Fine red vessels from the corners of the eye inwards, 0..1."""
    image = Image.new("L", (size_px, size_px), 0)
    pen = ImageDraw.Draw(image)
    for _ in range(50):
        start = draw.choice([0, math.pi]) + draw.normal(0, 0.55)
        place = np.array([math.cos(start), math.sin(start)])
        heading = -place
        for _ in range(int(draw.integers(12, 34))):
            heading = heading + draw.normal(0, 0.35, 2)
            heading /= np.linalg.norm(heading)
            after = place + heading * 0.012
            if np.hypot(*after) < IRIS_RADIUS + 0.05:
                break
            pen.line([tuple((place + 1) / 2 * size_px), tuple((after + 1) / 2 * size_px)],
                     fill=int(draw.uniform(40, 150)), width=int(draw.choice([1, 1, 2])))
            place = after
    return np.asarray(image.filter(ImageFilter.GaussianBlur(size_px / 800)), np.float32) / 255


def photo_eye_albedo(path, eye_colour, size_px=512):
    """Linear albedo [S, S, 3] of an eye from a picture of MakeHuman's: two eyes, seen along their axis, of which the upper
    right one is taken. Its iris gets the mean colour of `eye_colour` in the palette: the pictures' browns are wine and gold."""
    picture = Image.open(path).convert("RGB")
    scale = picture.width * PHOTO_IRIS_RADIUS / (IRIS_RADIUS * 0.49)
    middle_x, middle_y = (at * picture.width for at in PHOTO_EYE_MIDDLE)
    box = (middle_x - scale / 2, middle_y - scale / 2, middle_x + scale / 2, middle_y + scale / 2)
    values = np.asarray(picture.resize((size_px, size_px), Image.BILINEAR, box=box), np.float32) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    y, x = (np.mgrid[0:size_px, 0:size_px] + 0.5) / size_px * 2 - 1
    white = smoothstep(0.50, 0.62, np.hypot(x, y) / 0.98)[..., None]
    inside = (1 - smoothstep(0.40, 0.44, np.hypot(x, y) / 0.98))[..., None]
    luminance = linear @ LUMINANCE
    mean = luminance[(inside[..., 0] > 0.99) & (luminance > 0.002)].mean()
    iris = np.mean(PALETTE[eye_colour], 0) * (luminance / mean)[..., None]
    # The picture's own white is bright paper; past the iris it goes over into the sclera of the other eyes.
    iris = iris * (1 - LIMBAL_RING * smoothstep(0.36, 0.44, np.hypot(x, y) / 0.98))[..., None]
    around = iris * inside + linear * PHOTO_EYE_GAIN * (1 - inside)
    return (around * (1 - white) + linear / linear.max() * SCLERA_LINEAR * 1.25 * white).clip(0.001, 1)


def eye_albedo(identity, size_px=512):
    """Linear albedo [S, S, 3] of an eye seen along its axis, row 0 on top; same for both eyes."""
    draw = generator(identity.number, "eye texture")
    outer, inner = map(np.array, PALETTE[identity.eye_colour])
    y, x = (np.mgrid[0:size_px, 0:size_px] + 0.5) / size_px * 2 - 1
    radius, angle = np.hypot(x, y) / 0.98, np.arctan2(y, x)
    t = np.clip(radius / IRIS_RADIUS, 0, 1)[..., None]
    fibres = _iris_fibres(radius, angle, draw)[..., None]
    iris = inner * (1 - fibres) + outer * fibres * 1.5
    iris = iris * (1 + 0.5 * np.exp(-((t - 0.45) / 0.12) ** 2)) * (1 - LIMBAL_RING * smoothstep(0.82, 1.0, t))
    iris = iris * smoothstep(identity.pupil - 0.03, identity.pupil + 0.04, t)
    sclera = SCLERA_LINEAR * (1 - _veins(size_px, draw)[..., None] * np.array([0.10, 0.45, 0.42]))
    sclera = sclera * (1 - np.clip((radius - 0.55) / 0.5, 0, 1)[..., None] * np.array([0.05, 0.15, 0.17]))
    white = smoothstep(0.93, 1.07, radius / IRIS_RADIUS)[..., None]
    return (iris * (1 - white) + sclera * white).clip(0.001, 1)
