"""Albedo from photographed skins: two of them mixed, their baked light taken out, brought to an identity's tone.

A photograph's logarithm is split into melanin, hemoglobin and shading, after Tsumura et al. 2003, "Image-based skin color
and texture analysis/synthesis by extracting hemoglobin and melanin information in the skin": the first two absorb by
colour, light and shadow dim all colours alike. What is broad of the shading is light of the photographer's studio.
"""

import functools

import numpy as np
from PIL import Image
from scipy import ndimage

from . import masks
from .noise import smoothstep, value_noise
from .skin_tone import HEMOGLOBIN_ABSORPTION, MELANIN_ABSORPTION

HEAD_CROP = (0.10, 1.0, 0.14, 1.0)     # of the texture: u from, to; v from, to (v up), all skin of head and chest
SHADING_BLUR, DETAIL_BLUR = 0.020, 0.0055      # standard deviations, of the texture's width
SHADING_KEPT = 0.15            # of the broad shading
DETAIL_GAIN = 1.6              # light under the skin blurs it a second time
BROAD_GAIN = 0.75              # of the broad differences of colour: light of two colours is baked in as well
LARGEST_LIGHTENING = 1.1       # of the logarithm
STRONGEST_DETAIL = 0.28        # of the logarithm: painted lashes and the darkest moles stand back
SHADING_STEP = 4               # broad shading is computed at every fourth texel
FACE_CENTRE, FACE_RADIUS = (0, 7.0, 1.5), (0.7, 0.8, 0.6)


@functools.lru_cache(maxsize=6)
def _bands(path):
    """(broad [H, W, 3] colour without shading, detail [H, W, 3]) of a skin's logarithm, cropped to the head."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    u0, u1, v0, v1 = HEAD_CROP
    box = tuple(round(x) for x in (u0 * width, (1 - v1) * height, u1 * width, (1 - v0) * height))
    values = np.asarray(image.crop(box), np.float32) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    log = np.log(linear.clip(0.004, 1))
    blur = lambda x, sigma: np.stack([ndimage.gaussian_filter(x[..., c], sigma * width) for c in range(x.shape[2])], 2)
    parts = np.linalg.inv(np.stack([-MELANIN_ABSORPTION, -HEMOGLOBIN_ABSORPTION, np.ones(3)], 1))
    coarse = log[::SHADING_STEP, ::SHADING_STEP] @ parts[2].astype(np.float32)
    shading = ndimage.gaussian_filter(coarse, SHADING_BLUR * width / SHADING_STEP)
    shading = np.maximum((shading - np.median(shading)) * (1 - SHADING_KEPT), -LARGEST_LIGHTENING)
    shading = ndimage.zoom(shading, [a / b for a, b in zip(log.shape, shading.shape)], order=1)
    broad = blur(log, DETAIL_BLUR)
    detail = STRONGEST_DETAIL * np.tanh((log - broad) / STRONGEST_DETAIL)
    return (broad - shading[..., None]).astype(np.float16), detail.astype(np.float16)


def _sample(image, base_uv):
    """Bilinear values at MakeHuman texture coordinates [N, 2], clamped to the head's crop."""
    u0, u1, v0, v1 = HEAD_CROP
    rows = (v1 - base_uv[:, 1]) / (v1 - v0) * image.shape[0] - 0.5
    columns = (base_uv[:, 0] - u0) / (u1 - u0) * image.shape[1] - 0.5
    return np.stack([ndimage.map_coordinates(image[..., c].astype(np.float32), [rows, columns], order=1, mode="nearest")
                     for c in range(image.shape[2])], 1)


def face_weight(rest, lips):
    """Skin of the front of the face [N], 0..1, without brows and lips."""
    return masks.blob(rest, FACE_CENTRE, FACE_RADIUS) ** 2 * (1 - masks.brows(rest)) * (1 - lips)


def photo_albedo(files, share, detail_gain, tone, rest, base_uv, draw, lips):
    """(albedo [N, 3] with the mean `tone` [3] over the face, detail [N] of its logarithm, for relief and roughness).

    `files` are two skins: broad colours are mixed, `share` of the first, and detail is the first one's.
    """
    (broad_a, detail), (broad_b, _) = (_bands(file) for file in files)
    broad_a, broad_b, detail = (_sample(image, base_uv) for image in (broad_a, broad_b, detail))
    weight = face_weight(rest, lips)
    weight = weight / weight.sum()
    centred = lambda values: values - weight @ values
    mix = np.clip(share + 0.4 * value_noise(rest, 1.5, draw, 2), 0, 1)[:, None]
    log = BROAD_GAIN * (mix * centred(broad_a) + (1 - mix) * centred(broad_b)) + DETAIL_GAIN * detail_gain * detail
    # Shaved hair is in the photographs; what a head wears is painted on later.
    scalp = (smoothstep(0.2, 0.7, masks.scalp(rest, base_uv)))[:, None]
    log = log * (1 - scalp) + (0.3 * detail) * scalp
    albedo = np.exp(log)
    albedo = albedo * (np.asarray(tone) / (weight @ albedo))
    return albedo, detail.mean(1)
