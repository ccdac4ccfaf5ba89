"""The textures of an identity's skin: albedo, roughness, normal, and the importance of each texel.

Colour is that of photographed skins where the identity's look has them, or melanin and hemoglobin in a Beer-Lambert mix;
either way the face's mean is the identity's tone. Height is the photograph's own detail, or pores, cells, lip creases and
age lines. Everything is evaluated at the rest position of each texel.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from . import masks
from .anatomy import METRES_PER_BASE_UNIT
from .identity import generator
from .lashes import lid_edges
from .noise import cells, smoothstep, value_noise
from .photo_skin import face_weight, photo_albedo
from .skin_tone import HEMOGLOBIN_ABSORPTION, MELANIN_ABSORPTION, draw_tone
from .texture_space import texture_space

BASE_LINEAR = np.array([0.86, 0.70, 0.57])
LIP_TINT = np.array([0.83, 0.56, 0.60])
MOUTH_LINEAR = np.array([0.30, 0.085, 0.08])
RELIEF_M = 0.00022
PORE_SHADE, MOTTLE = 0.2, 0.22       # of the logarithm, which few samples and light under the skin halve
BLEMISHES, BLEMISH_SHARE = 0.35, 0.5           # hemoglobin, and of identities
WET_LID_DM = 0.022             # from the line of the lashes
PHOTO_RELIEF = 9.0             # units of RELIEF_M for each unit of a photograph's logarithm
PHOTO_ROUGHNESS = 0.6          # for each unit: what is dark lies deep and shines less


@dataclass
class SkinTextures:
    """Square, row 0 on top. `albedo_linear` [S, S, 3]; `roughness` [S, S];
    `normal` [S, S, 3] tangent space, +Y up the image, unit length; `feature` [S, S] 0..1."""

    albedo_linear: np.ndarray
    roughness: np.ndarray
    normal: np.ndarray
    feature: np.ndarray


def _spots(rest, draw, cells_per_unit, radius, edge):
    nearest, _, _ = cells(rest, cells_per_unit, draw)
    return smoothstep(radius, edge, nearest)


def _blemishes(rest, draw):
    return _spots(rest, draw, 9, 0.075, 0.02) * smoothstep(0.0, 0.2, value_noise(rest, 1.7, draw, 1))


def _procedural_albedo(identity, tone, rest, draw, lips):
    """Albedo [N, 3] of blood and melanin, spread by noise."""
    broad, middle = value_noise(rest, 2.2, draw, 4), value_noise(rest, 9, draw, 4, 0.65)
    fine = value_noise(rest, 40, draw, 2)
    hemoglobin = (identity.hemoglobin + 0.38 * masks.redness(rest) + 0.30 * broad + 0.55 * middle + 0.30 * fine
                  + 0.22 * masks.under_eye(rest) + 0.06 * masks.eyelid(rest))
    hemoglobin += 0.45 * _blemishes(rest, draw)
    melanin = identity.melanin
    amount = (melanin + 0.10 + 0.35 * max(0.12, melanin) * broad + 0.25 * max(0.15, melanin) * middle
              + (0.12 + 0.16 * melanin) * masks.under_eye(rest) + (0.05 + 0.1 * melanin) * masks.eyelid(rest))
    colour = BASE_LINEAR * np.exp(-(np.maximum(amount, 0)[:, None] * MELANIN_ABSORPTION
                                    + np.maximum(hemoglobin, 0.05)[:, None] * HEMOGLOBIN_ABSORPTION))
    weight = face_weight(rest, lips)
    colour = colour * (np.asarray(tone) / (weight @ colour / weight.sum()))
    lip_amount = (lips * identity.lip_strength * (1 + 0.5 * value_noise(rest, 30, draw, 2)))[:, None]
    return colour * (1 - lip_amount * (1 - LIP_TINT))


def _with_marks(colour, identity, look, rest, base_uv, draw, lips):
    """The albedo [N, 3] with freckles, moles, make-up, shaved hair and the inside of the mouth."""
    amount = np.zeros(len(rest))
    if identity.freckles > 0.05:
        freckles = _spots(rest, draw, 26, 0.33, 0.1) * smoothstep(-0.08, 0.12, value_noise(rest, 3, draw, 2))
        amount += 0.4 * identity.freckles * freckles
    if not look.skins:             # photographs have moles of their own
        amount += 0.5 * _spots(rest, draw, 2.1, 0.05, 0.015) * (value_noise(rest, 2.0, draw, 1) > 0.1)
    blood = BLEMISHES * (draw.random() < BLEMISH_SHARE) * _blemishes(rest, draw) * bool(look.skins)
    colour = colour * np.exp(-amount[:, None] * MELANIN_ABSORPTION - blood[:, None] * HEMOGLOBIN_ABSORPTION)
    colour = _with_make_up(colour, look.make_up, rest, lips)
    beard = masks.beard(rest, base_uv)[:, None]
    colour = colour * (1 - 0.26 * identity.stubble * beard * np.array([1.0, 0.85, 0.65]))
    roots = {"bald": 0.12, "buzz": 0.5}.get(identity.hair_style, 0.85 * identity.hair_melanin)
    roots = roots * smoothstep(0.3, 0.9, masks.scalp(rest, base_uv))[:, None]
    colour = colour * (1 - roots * np.array([0.9, 0.9, 0.88]))
    brow = 0.28 * identity.hair_melanin * min(1.0, identity.brow_density) * masks.brows(rest)[:, None]
    colour = colour * (1 - brow)
    mouth = smoothstep(0.3, 0.7, masks.inside_mouth(base_uv))[:, None]
    return colour * (1 - mouth) + MOUTH_LINEAR * mouth


def _with_make_up(colour, make_up, rest, lips):
    """Lipstick, eye shadow and rouge: `make_up` {place: (amount, colour)}."""
    places = {"lips": lips, "eyes": masks.eyelid(rest), "cheeks": masks.blob(rest, (0.55, 6.95, 1.2), (0.3, 0.22, 0.5))}
    for place, (amount, tint) in make_up.items():
        cover = (amount * places[place])[:, None]
        colour = colour * (1 - cover) + np.asarray(tint) * (0.5 + colour.mean(1, keepdims=True)) * cover
    return colour


def _height(identity, rest, draw, lips):
    """(relief in units of RELIEF_M, how deep in a pore: 0..1) at each place [N]."""
    nearest, second, _ = cells(rest, 62, draw)
    oily = masks.oily_zone(rest)
    pores = smoothstep(0.05, 0.42, nearest) * (0.45 + 0.75 * oily)
    borders = smoothstep(0.0, 0.25, second - nearest) * 0.3
    skin = pores + borders + 1.2 * value_noise(rest, 28, draw, 3)
    creases = 2.6 * value_noise(rest * np.array([60, 7, 14]), 1.0, draw, 2)
    age = np.clip((identity.age - 0.5) * 2.5, 0, 1)
    lines = smoothstep(-0.15, 0.12, value_noise(rest * np.array([1.4, 26, 4]), 1.0, draw, 3))
    height = skin * (1 - lips) + creases * lips + 3.2 * age * lines * masks.age_lines(rest)
    return height, smoothstep(0.42, 0.05, nearest) * (0.5 + 0.5 * oily) * (1 - lips)


def _wet_lid(rest):
    """The edges of the lids, which tears keep wet, 0..1."""
    return smoothstep(1.0, 0.4, cKDTree(lid_edges()).query(rest, workers=-1)[0] / WET_LID_DM)


def _tangent_normals(height_m, space):
    """Tangent-space normals of a height map, with the metric of the rest surface under the texels."""
    position = space.spread(space.rest) * METRES_PER_BASE_UNIT
    along_u = np.gradient(position, axis=1)
    along_v = -np.gradient(position, axis=0)
    length_u = np.linalg.norm(along_u, axis=2)
    tangent = along_u / np.maximum(length_u, 1e-9)[..., None]
    shear = (along_v * tangent).sum(2)
    upright = along_v - shear[..., None] * tangent
    length_v = np.linalg.norm(upright, axis=2)
    usual_u, usual_v = np.median(length_u[space.covered]), np.median(length_v[space.covered])
    slope_u = np.gradient(height_m, axis=1) / np.maximum(length_u, 0.2 * usual_u)
    slope_v = (-np.gradient(height_m, axis=0) - shear * slope_u) / np.maximum(length_v, 0.2 * usual_v)
    inner = ndimage.binary_erosion(space.covered, iterations=2)
    sane = inner & (length_u < 4 * usual_u) & (length_v < 4 * usual_v)
    slopes = np.clip(np.stack([slope_u, slope_v], 2), -0.7, 0.7) * sane[..., None]
    normal = np.concatenate([-slopes, np.ones_like(slopes[..., :1])], axis=2)
    return normal / np.linalg.norm(normal, axis=2, keepdims=True)


def make_skin(identity, look, size_px):
    """The skin textures of an identity; `look` says which photographed skins it has, if any."""
    space = texture_space(size_px)
    draw = generator(identity.number, "skin texture")
    tone = draw_tone(identity.melanin, generator(identity.number, "skin tone"))
    rest, base_uv = space.rest, space.base_uv
    lips = masks.lips(rest, base_uv)
    height, pores = _height(identity, rest, draw, lips)
    if look.skins:
        albedo, detail = photo_albedo(look.skins, look.skin_share, look.detail_gain, tone, rest, base_uv, draw, lips)
        height = 0.4 * height + PHOTO_RELIEF * look.detail_gain * detail
    else:
        albedo, detail = _procedural_albedo(identity, tone, rest, draw, lips), np.zeros(len(rest))
    fine = MOTTLE * value_noise(rest, 22, draw, 3, 0.8) - PORE_SHADE * pores
    albedo = _with_marks(albedo * np.exp(fine)[:, None], identity, look, rest, base_uv, draw, lips)
    roughness = (identity.roughness + 0.2 * value_noise(rest, 9, draw, 4, 0.65) - PHOTO_ROUGHNESS * detail + 0.1 * pores
                 - 0.09 * masks.oily_zone(rest) - 0.10 * lips - 0.05 * masks.eyelid(rest) - 0.15 * _wet_lid(rest))
    relief = space.spread(height) * RELIEF_M
    return SkinTextures(space.spread(albedo.clip(0.004, 0.95)), space.spread(roughness.clip(0.22, 0.85)),
                        _tangent_normals(ndimage.gaussian_filter(relief, 0.6), space),
                        space.spread(masks.features(rest, base_uv)))
