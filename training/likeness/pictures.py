"""Pictures, read."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .manifest import UsageError


def read_picture(path):
    """`[H, W, 3]`, 8-bit sRGB, upright."""
    try:
        with Image.open(path) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"{path}: {error}; expected a picture") from error


def read_case(case):
    """First image, reference image, and the second image of each model, all of one size."""
    first, reference = read_picture(case.first), read_picture(case.reference)
    seconds = {model: read_picture(path) for model, path in case.seconds.items()}
    for picture in (reference, *seconds.values()):
        if picture.shape != first.shape:
            raise UsageError(f"case {case.name}: expected pictures of one size, found {_size(first)} and {_size(picture)}")
    return first, reference, seconds


def _size(picture):
    return f"{picture.shape[1]}×{picture.shape[0]}"
