"""Strand bundles, and the ribbons that a rasteriser draws instead of them."""

from dataclasses import dataclass, replace

import numpy as np

from .subdivision import unit


STRAND_ALPHA = 0.55            # of a ribbon that is wider than its one strand, and that much thinner


@dataclass
class Strands:
    """`points` [N, K, 3] metres, root first; radii in metres; `root_normals` [N, 3] of the skin below.

    `grey` [N] 0..1 bleaches single strands, `shade` [N] multiplies what their melanin absorbs, `lock` [N] numbers the lock that
    each keeps to. `kind` names the material: hair, brow, lash or fuzz.
    """

    name: str
    kind: str
    points: np.ndarray
    root_normals: np.ndarray
    root_radius_m: float
    tip_radius_m: float
    grey: np.ndarray
    anchors: tuple | None = None   # head vertices [N, 3] and weights [N, 3] that carry the roots
    shade: np.ndarray | None = None
    lock: np.ndarray | None = None

    def moved_with(self, skin_offsets_m):
        """The same strands when the head's vertices have moved by these offsets [V, 3]."""
        vertices, weights = self.anchors
        offset = (skin_offsets_m[vertices] * weights[:, :, None]).sum(1)
        return replace(self, points=self.points + offset[:, None])

    def only(self, kept):
        """The strands of a mask [N] alone."""
        return replace(self, points=self.points[kept], root_normals=self.root_normals[kept], grey=self.grey[kept],
                       anchors=self.anchors and tuple(values[kept] for values in self.anchors),
                       shade=None if self.shade is None else self.shade[kept],
                       lock=None if self.lock is None else self.lock[kept])

    def radii_m(self):
        """[N, K]: thick for most of its length, then thin."""
        count, length = self.points.shape[:2]
        taper = np.linspace(1, 0, length) ** 0.7
        return np.broadcast_to(self.tip_radius_m + (self.root_radius_m - self.tip_radius_m) * taper, (count, length))

    def melanin(self, amount):
        """Melanin 0..1 of each strand [N], where that of the hair as a whole is `amount`: 1 - exp(-absorption), as Principled
        Hair has it."""
        shade = 1.0 if self.shade is None else self.shade
        return (1 - (1 - amount) ** shade) * (1 - self.grey)


def subset(strands, keep, draw):
    """At most `keep` strands, chosen at random, as indices."""
    return np.sort(draw.permutation(len(strands.points))[:keep])


def evenly(count, share):
    """The indices of a `share` of `count` things, evenly spread."""
    return np.unique((np.arange(int(count * share)) / share).astype(int))


def cut_off(strands, length_m):
    """The strands' first `length_m`, straight from the root towards the point there; shorter ones as they are."""
    apart = np.linalg.norm(strands.points - strands.points[:, :1], axis=2)
    reached = np.where((apart >= length_m).any(1), (apart >= length_m).argmax(1), strands.points.shape[1] - 1)
    onward = strands.points[np.arange(len(reached)), reached] - strands.points[:, 0]
    onward *= np.minimum(1, length_m / np.maximum(np.linalg.norm(onward, axis=1, keepdims=True), 1e-9))
    return replace(strands, points=np.stack([strands.points[:, 0], strands.points[:, 0] + onward], 1))


def resample(points, length):
    """Strands [N, K, 3] with `length` points each, linear in between."""
    at = np.linspace(0, points.shape[1] - 1, length)
    low = np.floor(at).astype(int).clip(0, points.shape[1] - 2)
    part = (at - low)[None, :, None]
    return points[:, low] * (1 - part) + points[:, low + 1] * part


def ribbon_alpha(size_px=(256, 128)):
    """Alpha [H, W] of a ribbon that shows one strand, root on top: soft across, and thinner towards the tip."""
    along = np.linspace(0, 1, size_px[0])[:, None]
    across = (np.arange(size_px[1]) + 0.5) / size_px[1]
    return STRAND_ALPHA * np.exp(-((across - 0.5) / 0.25) ** 2) * (1 - 0.8 * along ** 2)


def ribbon_uvs(count, length):
    """Texture coordinates [V, 2], v down, of ribbons of `length` points each: roots on top."""
    down = np.linspace(0.002, 0.998, length)
    one = np.stack([np.stack([np.full(length, u), down], 1) for u in (0.0, 1.0)], 1).reshape(-1, 2)
    return np.tile(one, (count, 1))


def around_head(points, centre_m):
    """Directions [N, K, 3] away from the head, for points on it and for hair that hangs below it."""
    middle = np.broadcast_to(centre_m, points.shape).copy()
    middle[..., 1] = np.minimum(points[..., 1], centre_m[1])
    return unit(points - middle)


def ribbons(points, away, half_width_m, twist):
    """Flat strips along strands: positions [V, 3], normals [V, 3], triangles [T, 3].

    `half_width_m` [N] is the half width, kept for most of the length and narrowed at the tip.
    `twist` [N] in radians turns a strip about its strand away from lying flat. Normals are the directions `away`
    [N, K, 3] or [N, 1, 3] from what the strands lie on, bent towards the strand's own outward side, so that light falls
    on the hair as on a volume and not as on thousands of randomly turned cards.
    """
    count, length, _ = points.shape
    along = unit(np.gradient(points, axis=1))
    outward = away - along * (away * along).sum(-1, keepdims=True)
    outward = unit(outward + 1e-4 * np.array([0.3, 0.5, 0.8]))
    across = np.cross(along, outward)
    side = across * np.cos(twist)[:, None, None] + outward * np.sin(twist)[:, None, None]
    taper = (1 - 0.5 * np.linspace(0, 1, length) ** 3)[None, :, None]
    offset = side * half_width_m[:, None, None] * taper
    positions = np.stack([points - offset, points + offset], 2).reshape(-1, 3)
    rounded = np.stack([outward - 0.5 * side, outward + 0.5 * side], 2)
    normals = unit(0.2 * rounded + 0.9 * away[:, :, None]).reshape(-1, 3)
    first = (np.arange(count) * length * 2)[:, None] + np.arange(length - 1) * 2
    quads = np.stack([first, first + 1, first + 3, first + 2], -1).reshape(-1, 4)
    return positions, normals, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
