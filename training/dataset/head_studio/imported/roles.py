"""Names what each part is, from the names of its material and node, from alpha modes and from where it is."""

import re

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..storage import UsageError
from .parts import weld

ROLES = ("skin", "eye", "cornea", "hair", "brow", "lash", "teeth", "mouth", "cloth", "glasses", "other")
# The first rule that fits wins: what is on or beside an eye comes before the eye, and "head" comes last.
WORDS = (
    ("lash", ("lash", "lashes", "eyelash")), ("brow", ("brow", "brows", "eyebrow")),
    ("glasses", ("glasses", "spectacles", "eyewear", "goggles")),
    ("other", ("gland", "caruncle", "eyecorner", "tear", "tearline", "occlusion", "eyeocclusion", "eyeshadow")),
    ("cornea", ("cornea", "eyewet", "eyerefraction")),
    ("eye", ("eye", "eyes", "eyeball", "iris", "sclera", "pupil", "eyeleft", "eyeright", "leye", "reye")),
    ("teeth", ("teeth", "tooth", "gum", "gums", "denture")), ("mouth", ("tongue", "mouth", "oral")),
    ("hair", ("hair", "hairs", "wig", "beard", "moustache", "mustache", "stubble", "ponytail", "bangs", "haircard")),
    ("cloth", ("cloth", "clothes", "clothing", "shirt", "outfit", "suit", "jacket", "collar", "hat", "cap", "dress", "scarf",
               "tie", "coat", "hoodie", "tops", "blouse", "sweater", "trousers", "pants", "shoes", "footwear", "armor",
               "armour", "helmet", "hood", "headband", "bottoms")),
    ("skin", ("skin", "head", "face", "body", "neck")),
)
LONG_WORD = 4                  # letters from which a word is also found inside another
EYE_DIAMETER = (0.08, 0.20)    # of the head's height: an eyeball of 24 mm, or a larger one of a comic
ROUNDNESS = 0.7


def _tokens(name):
    return [token.lower() for token in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def role_of_name(name):
    """The role that a name tells, or None."""
    tokens = _tokens(name)
    joined = "".join(tokens)
    for role, words in WORDS:
        if any(word in tokens or (len(word) >= LONG_WORD and word in joined) for word in words):
            return role
    return None


def material_name(document, part):
    return "" if part.material is None else document.entries("materials")[part.material].get("name", "")


def assign_roles(document, parts, overrides):
    """Sets every part's role: `overrides` {material or node name: role}, then its material's name, then its node's."""
    names = {name for part in parts for name in (material_name(document, part), *part.names)}
    for name, role in overrides.items():
        if name not in names:
            raise UsageError(f"[roles] of {document.toml}: no material or node is called {name!r}; found: "
                             f"{', '.join(sorted(filter(None, names)))}")
        if role not in ROLES:
            raise UsageError(f"[roles] of {document.toml}: {name!r} is {role!r}; expected one of {', '.join(ROLES)}")
    for part in parts:
        part.role = _role_of(document, part, overrides)
    if not any(part.role == "skin" for part in parts):
        found = ", ".join(sorted({f"{material_name(document, part) or 'no material'} (on {part.name or 'a nameless node'})"
                                  for part in parts}))
        raise UsageError(f"{document.path}: no material or node is called skin, head, face or body; found: {found}. Say "
                         f"which one is skin in {document.toml}:\n  [roles]\n  \"NAME\" = \"skin\"")


def _role_of(document, part, overrides):
    names = (material_name(document, part), *part.names)
    told, guesses = map(overrides.get, names), map(role_of_name, names)
    return next(filter(None, (*told, *guesses)), None) or _role_of_alpha(document, part)


def found_roles(document, parts):
    """{material name: role that its first part gets without a TOML}, and of nameless materials the node's name instead."""
    found = {}
    for part in parts:
        found.setdefault(material_name(document, part) or part.name, _role_of(document, part, {}))
    return {name: role for name, role in sorted(found.items()) if name}


def _role_of_alpha(document, part):
    """Nameless cut-out cards are hair."""
    material = {} if part.material is None else document.entries("materials")[part.material]
    return "hair" if material.get("alphaMode") in ("MASK", "BLEND") and part.uvs is not None else "other"


def pieces(part):
    """The number of the connected piece that each triangle [T] belongs to, and how many there are."""
    group = weld(part.positions, max(np.ptp(part.positions, 0).max() * 1e-6, 1e-9))
    corners, count = group[part.triangles], int(group.max()) + 1
    edges = np.concatenate([corners[:, :2], corners[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    labels = connected_components(graph, directed=False)[1][corners[:, 0]]
    kept, labels = np.unique(labels, return_inverse=True)
    return labels, len(kept)


def split_off_eyeballs(parts, head_height):
    """Parts in which two round pieces of one size, side by side, have become eyes of their own: one mesh for all has them
    so. Parts that have eyes already, or no such pieces, stay as they are."""
    if any(part.role == "eye" for part in parts):
        return parts
    for at, part in enumerate(parts):
        if part.role != "skin":
            continue
        labels, count = pieces(part)
        balls = []
        for piece in range(count):
            points = part.positions[np.unique(part.triangles[labels == piece])]
            size = np.ptp(points, 0)
            if len(points) >= 24 and size.min() >= ROUNDNESS * size.max() and (
                    EYE_DIAMETER[0] <= size.max() / head_height <= EYE_DIAMETER[1]):
                balls.append((piece, size.max(), (points.min(0) + points.max(0)) / 2))
        for first in range(len(balls)):
            for second in range(first + 1, len(balls)):
                (a, size_a, centre_a), (b, size_b, centre_b) = balls[first], balls[second]
                apart = np.linalg.norm(centre_a - centre_b)
                if abs(size_a - size_b) < 0.05 * size_a and 1.1 * size_a < apart < 5 * size_a:
                    chosen = (labels == a) | (labels == b)
                    eyes, rest = part.keep_triangles(chosen), part.keep_triangles(~chosen)
                    eyes.role = "eye"
                    return [*parts[:at], rest, eyes, *parts[at + 1:]]
    return parts
