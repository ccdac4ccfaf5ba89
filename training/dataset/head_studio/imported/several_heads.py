"""Asks which head is meant where a file has several."""

import numpy as np

from ..storage import UsageError
from .roles import pieces

SMALLEST = 0.5                 # of the largest eyeball's size: smaller pieces of an eye are its wet line, a pupil or a highlight
SAME_PLACE = 0.6               # of its size: a piece whose middle is nearer lies in or over the same eyeball


def _eyeballs(parts):
    """[(centre [3], name of its node)] of the eyeballs in parts that are eyes."""
    found = []
    for part in parts:
        if part.role != "eye":
            continue
        labels, count = pieces(part)
        for piece in range(count):
            points = part.positions[np.unique(part.triangles[labels == piece])]
            low, high = points.min(0), points.max(0)
            found.append(((high - low).max(), (low + high) / 2, part.name))
    largest = max((size for size, _, _ in found), default=0.0)
    balls = []
    for size, centre, name in sorted(found, key=lambda piece: -piece[0]):
        apart = [np.linalg.norm(centre - other) for other, _ in balls]
        if size >= SMALLEST * largest and min(apart, default=np.inf) > SAME_PLACE * largest:
            balls.append((centre, name))
    return balls


def refuse(document, parts):
    """Raises `UsageError` where the parts have more than two eyeballs, with the nodes that have them."""
    balls = _eyeballs(parts)
    if len(balls) <= 2:
        return
    places = "; ".join(f"{name or 'a nameless node'} at ({', '.join(f'{x:.3g}' for x in centre)})" for centre, name in balls[:8])
    raise UsageError(f"{document.path}: has {len(balls)} eyeballs, so more than one head: {places}. Say which nodes are the head that is "
                     f"meant, with all that belongs to it, in {document.toml}:\n  [placement]\n  nodes = [\"NAME\"]")
