"""What people's faces measure, and sliders that keep a face within it.

Spreads are coefficients of variation within a sex in the survey of 3,997 people of Zhuang & Bradtmiller 2005,
"Head-and-face anthropometric survey of U.S. respirator users", J. Occup. Environ. Hyg. 2. They are taken about the head
that sex, age, ancestry and weight alone make, so that landmarks need not be those of a caliper.
"""

import functools

import numpy as np

from . import anatomy

# Landmarks on the base mesh: vertices of the middle, and of the person's left side (the right one is their mirror image).
MIDDLE = {"sellion": 132, "pronasale": 297, "subnasale": 312, "menton": 5225}
SIDES = {"alare": 11669, "cheilion": 7128, "gonion": 7690}
CHEEKBONE = ((0.55, 6.9, 0.6), (0.8, 7.2, 0.95))     # box at rest whose outermost vertex is the zygion
# Measure -> (landmarks, coefficient of variation).
MEASURES = {
    "face length": ("sellion", "menton", 0.057), "nose length": ("sellion", "subnasale", 0.079),
    "nose protrusion": ("subnasale", "pronasale", 0.125), "nose breadth": ("alare", None, 0.112),
    "lip length": ("cheilion", None, 0.082), "bigonial breadth": ("gonion", None, 0.085),
    "bizygomatic breadth": ("zygion", None, 0.049), "interpupillary distance": ("pupil", None, 0.056),
}
WIDEST = 2.0                   # standard deviations; 19 of 20 people lie within


@functools.cache
def _landmarks():
    """{name: vertex, or (left, right)} on the base mesh; pupils are groups of vertices."""
    rest = anatomy.base_mesh().vertices
    body = anatomy.base_mesh().group_vertices("body")
    mirror = lambda vertex: int(body[np.linalg.norm(rest[body] - rest[vertex] * [-1, 1, 1], axis=1).argmin()])
    low, high = map(np.array, CHEEKBONE)
    inside = body[((rest[body] > low) & (rest[body] < high)).all(1)]
    sides = SIDES | {"zygion": int(inside[rest[inside, 0].argmax()])}
    return MIDDLE | {name: (vertex, mirror(vertex)) for name, vertex in sides.items()}


def measure(vertices):
    """{measure: millimetres} of shaped base vertices."""
    eyes = [vertices[anatomy.base_mesh().group_vertices(f"helper-{side}-eye")].mean(0) for side in "lr"]
    places = {name: vertices[list(at)] if isinstance(at, tuple) else vertices[at] for name, at in _landmarks().items()}
    places["pupil"] = np.array(eyes)
    ends = lambda a, b: places[a] if b is None else (places[a], places[b])
    return {name: float(np.linalg.norm(np.subtract(*ends(a, b)))) * 100 for name, (a, b, _) in MEASURES.items()}


def deviations(vertices, average):
    """{measure: standard deviations} of one head from another's measures."""
    return {name: float(np.log(value / average[name]) / MEASURES[name][2]) for name, value in measure(vertices).items()}


def fitting_share(average_vertices, shaped_vertices):
    """The largest share 0..1 of a shape's difference from the average head that keeps every measure within `WIDEST`."""
    average = measure(average_vertices)
    share = 1.0
    for _ in range(4):
        found = deviations(average_vertices + share * (shaped_vertices - average_vertices), average)
        widest = max(abs(value) for value in found.values())
        if widest <= WIDEST:
            break
        share *= WIDEST / widest
    return share
