"""One seed as geometry: the identity's shape in this pose, and everything on it. No Blender here."""

import functools
from dataclasses import dataclass

import numpy as np

from . import anatomy, clothes, eyes, masks
from .hair import grow_hair
from .identity import asymmetry_weights, draw_identity, slider_weights
from .lashes import grow_lashes

MOUTH_PARTS = {"TeethUpper": "helper-upper-teeth", "TeethLower": "helper-lower-teeth", "Tongue": "helper-tongue"}


@dataclass
class Figure:
    """Geometry in world space, metres."""

    identity: object
    base_vertices: np.ndarray      # shaped base mesh, decimetres
    head: np.ndarray               # [V, 3]
    shirt: tuple                   # positions, normals, quads
    mouth: dict                    # name -> (positions, quads)
    eyes: list
    strands: list

    def face_box(self):
        """Centre and half extents [3] of the head's skin above the neck."""
        above = masks.above_neck(anatomy.head_part().rest)
        low, high = self.head[above].min(0), self.head[above].max(0)
        return (low + high) / 2, (high - low) / 2

    def gaze_point(self):
        """What the camera aims at: between the eyes and the mouth, on the face's middle axis."""
        middle = (self.eyes[0].centre_m + self.eyes[1].centre_m) / 2
        return np.array([0, middle[1] - 0.018, middle[2] - 0.055])


def shape_identity(identity):
    """Base vertices [V, 3], decimetres, of an identity without expression."""
    vertices = anatomy.base_mesh().vertices.copy()
    anatomy.apply_macro(vertices, identity.male, identity.age, identity.ancestry, identity.weight, identity.muscle)
    anatomy.apply_sliders(vertices, slider_weights(identity, anatomy.slider_names()))
    anatomy.apply_head_outline(vertices, identity.outline, identity.outline_weight)
    anatomy.apply_asymmetry(vertices, asymmetry_weights(identity, anatomy.asymmetry_names()))
    return vertices


@functools.cache
def _mouth_part(name):
    return anatomy.cut_part(MOUTH_PARTS[name], 1)


@functools.lru_cache(maxsize=1)
def _neutral(number):
    """Base vertices, head positions and strands of an identity, shared by its variations."""
    identity = draw_identity(number)
    vertices = shape_identity(identity)
    head = anatomy.head_part().pose_m(vertices)
    return vertices, head, grow_hair(identity, head)


def build_figure(identity, expression, gaze_deg):
    """The identity with an expression {ARKit unit: weight} and a gaze."""
    neutral_vertices, neutral_head, neutral_strands = _neutral(identity.number)
    vertices = neutral_vertices.copy()
    anatomy.apply_expression(vertices, expression)
    head = anatomy.head_part().pose_m(vertices)
    mouth = {name: (_mouth_part(name).pose_m(vertices), _mouth_part(name).mesh.quads) for name in MOUTH_PARTS}
    strands = [bundle.moved_with(head - neutral_head) for bundle in neutral_strands]
    return Figure(identity, vertices, head, clothes.make_shirt(neutral_vertices), mouth,
                  eyes.place_eyes(neutral_vertices, gaze_deg), [*strands, grow_lashes(identity, vertices)])
