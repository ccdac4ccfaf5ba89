"""One seed as geometry: the identity's shape in this pose, everything on it and around it. No Blender here."""

import functools
from dataclasses import dataclass

import numpy as np

from . import accessories, anatomy, cards, clothes, eyes, masks, proportions
from .hair import grow_hair
from .identity import asymmetry_weights, slider_weights
from .lashes import grow_lashes

MOUTH_PARTS = {"TeethUpper": "helper-upper-teeth", "TeethLower": "helper-lower-teeth", "Tongue": "helper-tongue"}


@dataclass
class Figure:
    """Geometry in world space, metres."""

    identity: object
    look: object
    base_vertices: np.ndarray      # shaped base mesh, decimetres
    head: np.ndarray               # [V, 3]
    neutral_head: np.ndarray       # [V, 3], without expression
    shirt: tuple                   # positions, normals, quads, uvs
    mouth: dict                    # name -> (positions, quads)
    eyes: list
    strands: list
    cards: list
    items: list                    # of accessories

    def face_box(self):
        """Centre and half extents [3] of the head's skin above the neck."""
        above = masks.above_neck(anatomy.head_part().rest)
        low, high = self.head[above].min(0), self.head[above].max(0)
        return (low + high) / 2, (high - low) / 2

    def gaze_point(self):
        """The point that the camera aims at: between the eyes and the mouth, on the face's middle axis."""
        middle = (self.eyes[0].centre_m + self.eyes[1].centre_m) / 2
        return np.array([0, middle[1] - 0.018, middle[2] - 0.055])


def shape_identity(identity):
    """Base vertices [V, 3], decimetres, of an identity without expression, measuring what people measure."""
    average = anatomy.base_mesh().vertices.copy()
    anatomy.apply_macro(average, identity.male, identity.age, identity.ancestry, identity.weight, identity.muscle)
    vertices = average.copy()
    anatomy.apply_sliders(vertices, slider_weights(identity, anatomy.slider_names()))
    anatomy.apply_head_outline(vertices, identity.outline, identity.outline_weight)
    vertices = average + proportions.fitting_share(average, vertices) * (vertices - average)
    anatomy.apply_asymmetry(vertices, asymmetry_weights(identity, anatomy.asymmetry_names()))
    return vertices


@functools.cache
def _mouth_part(name):
    return anatomy.cut_part(MOUTH_PARTS[name], 1)


_latest = (None, None)         # of `_neutral`: what was asked for last, and the answer


def _neutral(identity, look):
    """Base vertices, head positions and strands of an identity, shared by its variations."""
    global _latest
    key = (identity.number, look.used, look.beard)
    if _latest[0] != key:
        vertices = shape_identity(identity)
        head = anatomy.head_part().pose_m(vertices)
        _latest = (key, (vertices, head, grow_hair(identity, look, head)))
    return _latest[1]


def _fit_cards(look, vertices):
    files = (("Hair", "hair", look.hair_cards), ("Brows", "brow", look.brow_cards), ("Lashes", "lash", look.lash_cards))
    return [cards.fit_cards(file, name, kind, vertices) for name, kind, file in files if file]


def _wear(figure, wear, skin_linear):
    """Dresses a figure; hair that a beanie would cover is left out."""
    if "glasses" in wear:
        figure.items += accessories.make_glasses(figure, wear["glasses"])
    if "headwear" in wear:
        figure.items += accessories.make_headwear(figure, wear["headwear"])
    if wear.get("headwear", {}).get("kind") == "beanie":
        below = lambda bundle: accessories.strands_below_headwear(figure, bundle, wear["headwear"])
        figure.strands = [below(bundle) if bundle.name == "Hair" else bundle for bundle in figure.strands]
        figure.cards = [accessories.below_headwear(figure, one, wear["headwear"]) if one.kind == "hair" else one
                        for one in figure.cards]
    if "hand" in wear:
        figure.items += accessories.make_hand(figure, wear["hand"], skin_linear)
    if "prop" in wear:
        figure.items += accessories.make_prop(figure, wear["prop"])
    if "room" in wear:
        figure.items += accessories.make_room(figure, wear["room"])


def build_figure(identity, look, expression, gaze_deg, wear=None, skin_linear=(0.4, 0.25, 0.18)):
    """The identity with an expression {ARKit unit: weight}, a gaze, and what `wear` says (`wear.py`)."""
    neutral_vertices, neutral_head, neutral_strands = _neutral(identity, look)
    vertices = neutral_vertices.copy()
    anatomy.apply_expression(vertices, expression)
    head = anatomy.head_part().pose_m(vertices)
    mouth = {name: (_mouth_part(name).pose_m(vertices), _mouth_part(name).mesh.quads) for name in MOUTH_PARTS}
    strands = [bundle.moved_with(head - neutral_head) for bundle in neutral_strands]
    if not look.lash_cards:
        strands.append(grow_lashes(identity, vertices))
    figure = Figure(identity, look, vertices, head, neutral_head, clothes.make_shirt(neutral_vertices, identity.number),
                    mouth,
                    eyes.place_eyes(neutral_vertices, gaze_deg), strands, _fit_cards(look, vertices), [])
    _wear(figure, wear or {}, skin_linear)
    return figure
