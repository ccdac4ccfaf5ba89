"""From cases to distances."""

import numpy as np
from PIL import Image, UnidentifiedImageError

from .manifest import UsageError


def measure(case, faces):
    """Distances of a case, or None where neither the reference nor the first image shows a face."""
    first, reference = _picture(case.first), _picture(case.reference)
    seconds = {model: _picture(path) for model, path in case.seconds.items()}
    for picture in (reference, *seconds.values()):
        if picture.shape != first.shape:
            raise UsageError(f"case {case.name}: expected pictures of one size, found {_size(first)} and {_size(picture)}")
    landmarks = faces.find([reference, first])
    if landmarks is None:
        return None
    first, reference = faces.embed(first, landmarks), faces.embed(reference, landmarks)
    seconds = {model: faces.embed(picture, landmarks) for model, picture in seconds.items()}
    return {
        "first_reference": _distance(first, reference),
        "seconds": {
            model: {"first_second": _distance(first, second), "second_reference": _distance(second, reference)}
            for model, second in seconds.items()
        },
    }


def _picture(path):
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise UsageError(f"{path}: {error}; expected a picture") from error


def _size(picture):
    return f"{picture.shape[1]}×{picture.shape[0]}"


def _distance(a, b):
    return round(float(np.linalg.norm(a - b)), 6)
