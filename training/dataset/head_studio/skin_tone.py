"""The colours that people's skin has: mean albedo by tone, in CIELAB.

Hue and chroma by lightness were measured on the 102 photographs of 51 people of the Face Research Lab London Set
(DeBruine & Jones 2017, CC BY 4.0), median of the middle of the face against a grey wall: hue 27 to 62 degrees, middle 48;
chroma 7 at L* 22, 17 at L* 40 to 60, 14 at L* 70. They agree with Xiao et al. 2017 (Skin Research and Technology),
who find redness alike in all ethnic groups and the differences in lightness and yellowness. Lightness by melanin spans
the six classes of Chardon, Cretois & Hourseau 1991 (Int. J. Cosmetic Science 13), from very light to dark.
"""

import numpy as np

MELANIN, LIGHTNESS = (0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.2), (71.0, 68.5, 64.0, 57.0, 48.0, 39.0, 30.0)
CHROMA_LIGHTNESS, CHROMA = (22.0, 32.0, 42.0, 58.0, 70.0), (7.5, 12.5, 17.0, 17.5, 14.5)
HUE_DEG, HUE_SPREAD_DEG, HUE_LIMITS_DEG = 48.0, 5.5, (36.0, 61.0)
CHROMA_SPREAD = 0.10           # of the mean chroma
LIGHTNESS_SPREAD = 1.5
# Of linear red, green and blue, for each unit of pigment.
MELANIN_ABSORPTION, HEMOGLOBIN_ABSORPTION = np.array([0.75, 1.2, 1.75]), np.array([0.07, 0.66, 0.60])
RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def lab_of(linear):
    """CIELAB (D65) of linear Rec.709 colours [..., 3]."""
    share = np.asarray(linear) @ RGB_TO_XYZ.T / WHITE
    root = np.where(share > 216 / 24389, np.cbrt(share), share * 24389 / 27 / 116 + 16 / 116)
    return np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], -1)


def linear_of(lab):
    """Linear Rec.709 of CIELAB colours [..., 3]."""
    lab = np.asarray(lab, float)
    middle = (lab[..., 0] + 16) / 116
    root = np.stack([middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], -1)
    share = np.where(root > 6 / 29, root ** 3, (root - 16 / 116) * 116 * 27 / 24389)
    return share * WHITE @ np.linalg.inv(RGB_TO_XYZ).T


def hue_deg(lab):
    return np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))


def draw_tone(melanin, draw):
    """Mean albedo of a face, linear Rec.709 [3], for an amount of melanin (0.02 very fair to 2.2 very dark)."""
    lightness = np.interp(melanin, MELANIN, LIGHTNESS) + draw.normal(0, LIGHTNESS_SPREAD)
    chroma = np.interp(lightness, CHROMA_LIGHTNESS, CHROMA) * np.clip(draw.normal(1, CHROMA_SPREAD), 0.8, 1.2)
    hue = np.radians(np.clip(draw.normal(HUE_DEG, HUE_SPREAD_DEG), *HUE_LIMITS_DEG))
    return linear_of([lightness, chroma * np.cos(hue), chroma * np.sin(hue)]).clip(0.004, 0.9)
