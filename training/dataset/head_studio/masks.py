"""Where things are on a face, as functions of the rest position (decimetres): brows, scalp, beard, ...

The rest eyes are centred at (+-0.31, 7.28, 1.25), the mouth at y = 6.70, the nose tip at y = 6.97.
"""

import numpy as np

from .noise import smoothstep
from .texture_space import sample_base_texture


def blob(rest, centre, radius):
    """A soft ellipsoid, mirrored left to right, 1 at its centre."""
    mirrored = np.stack([abs(rest[..., 0]), rest[..., 1], rest[..., 2]], -1)
    return np.exp(-(((mirrored - np.array(centre)) / np.array(radius)) ** 2).sum(-1))


def brow_height(x):
    """Height of the brow's middle line at distance x from the face's middle."""
    t = np.clip((x - 0.13) / 0.48, 0, 1)
    return 7.428 + 0.040 * np.sin(np.pi * t ** 1.1 * 0.78) - 0.014 * t


def brows(rest):
    x, y = abs(rest[..., 0]), rest[..., 1]
    t = np.clip((x - 0.13) / 0.48, 0, 1)
    thickness = 0.037 * (0.85 + 0.4 * np.sin(np.pi * np.clip(t * 1.15, 0, 1)) - 0.6 * smoothstep(0.45, 1.0, t))
    along = smoothstep(0.10, 0.19, x) * smoothstep(0.64, 0.5, x)
    return along * np.exp(-((y - brow_height(x)) / thickness) ** 2) * (rest[..., 2] > 0.9)


def ears(rest, base_uv):
    return np.maximum(sample_base_texture("ears", base_uv), blob(rest, (0.9, 7.15, 0.05), (0.12, 0.4, 0.3)))


def scalp(rest, base_uv):
    """Where head hair grows; 0.5 along the hairline."""
    x, y, z = abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    ragged = 0.022 * np.sin(13 * rest[..., 0] + 1) + 0.014 * np.sin(37 * rest[..., 0] + 4 * z)
    hairline = 7.94 + ragged - 0.30 * smoothstep(0.45, 0.85, x) - 0.55 * smoothstep(1.1, 0.4, z)
    no_ear = 1 - np.clip(ears(rest, base_uv) * 2.2, 0, 1)
    top = smoothstep(-0.09, 0.07, y - hairline) * smoothstep(6.5, 6.75, y + 0.25 * smoothstep(0.0, -0.6, z))
    nape = smoothstep(0.35, 0.15, z + 0.25 * (7.0 - y)) * smoothstep(6.35, 6.6, y)
    return np.maximum(top, nape) * no_ear


def lips(rest, base_uv):
    return sample_base_texture("lips", base_uv) * smoothstep(6.2, 6.4, rest[..., 1])


def beard(rest, base_uv):
    x, y, z = abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    upper_edge = 6.62 + 0.30 * smoothstep(0.35, 0.72, x) - 0.12 * smoothstep(0, 0.35, x)
    jaw = smoothstep(0.06, -0.10, y - upper_edge) * smoothstep(0.1, 0.6, z) * smoothstep(5.85, 6.25, y)
    moustache = 1.1 * blob(rest, (0, 6.775, 1.6), (0.33, 0.075, 0.4))
    return np.clip(jaw + moustache, 0, 1) * (1 - np.clip(lips(rest, base_uv) * 1.5, 0, 1))


def redness(rest):
    """Cheeks, nose, chin, ears and brow ridge carry more blood."""
    return np.clip(0.7 * blob(rest, (0.55, 6.95, 1.2), (0.32, 0.26, 0.5))
                   + 0.85 * blob(rest, (0, 6.97, 1.67), (0.24, 0.22, 0.28))
                   + 0.45 * blob(rest, (0, 6.3, 1.45), (0.3, 0.16, 0.4))
                   + 0.7 * blob(rest, (0.82, 7.1, 0.15), (0.22, 0.4, 0.4))
                   + 0.25 * blob(rest, (0, 7.75, 1.4), (0.5, 0.25, 0.5)), 0, 1.2)


def under_eye(rest):
    return blob(rest, (0.31, 7.12, 1.42), (0.2, 0.09, 0.35))


def eyelid(rest):
    return blob(rest, (0.32, 7.36, 1.42), (0.2, 0.1, 0.3))


def oily_zone(rest):
    return np.clip(blob(rest, (0, 7.75, 1.4), (0.45, 0.35, 0.6)) + blob(rest, (0, 7.05, 1.6), (0.2, 0.45, 0.5))
                   + 0.4 * blob(rest, (0, 6.3, 1.45), (0.3, 0.2, 0.4)), 0, 1)


def age_lines(rest):
    return np.clip(blob(rest, (0, 7.85, 1.4), (0.6, 0.22, 0.5))
                   + 0.8 * blob(rest, (0.62, 7.28, 1.1), (0.14, 0.18, 0.3)), 0, 1)


def features(rest, base_uv):
    """Brows, eye surroundings and lips: what the importance mask calls face features."""
    eye = 1.3 * blob(rest, (0.31, 7.28, 1.35), (0.21, 0.13, 0.35))
    lip = smoothstep(0.2, 0.5, lips(rest, base_uv))
    return np.clip(np.maximum(np.maximum(smoothstep(0.25, 0.6, brows(rest)), smoothstep(0.45, 0.75, eye)), lip), 0, 1)


def inside_mouth(base_uv):
    return sample_base_texture("inside-mouth", base_uv)


def above_neck(rest):
    """The head without the neck: the box that frames a face."""
    return rest[..., 1] > 6.12 + 0.45 * smoothstep(0.7, 0.0, rest[..., 2])
