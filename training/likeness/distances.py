"""From cases to distances."""

import numpy as np

from .pictures import read_case


def measure(case, faces):
    """Distances of a case, or None where neither the reference nor the first image shows a face."""
    first, reference, seconds = read_case(case)
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


def _distance(a, b):
    return round(float(np.linalg.norm(a - b)), 6)
