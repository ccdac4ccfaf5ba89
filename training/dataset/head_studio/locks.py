"""Hair cards, as games have them: each lock of strands is a strip along their mean path, with many hairs painted on."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from .identity import generator
from .strands import around_head, resample, subset
from .subdivision import unit

POINTS = {"short": 7, "curls": 13, "side": 8, "back": 8, "tied": 14, "bob": 12, "long": 13}    # of a strip
# Of identities with ribbons along single strands instead, as some games have them: how many, and their half width.
RIBBON_SHARE, RIBBONS, RIBBON_HALF_M = 0.1, 1900, (0.0028, 0.0042)
VARIANTS, VARIANT_PX = 8, (256, 64)    # of a lock in the atlas, side by side; height and width of each
HAIRS = 26                     # painted on each
HAIR_ENDS = (0.72, 1.0)        # where they end, as shares of the lock's length
MARGIN = 0.09                  # of a variant's width, without hair, so that smaller levels do not run together
STREAKS = 0.10                 # how much lighter or darker a lock's own streaks are
LIGHTEST = 1.35                # of the atlas: its white, where one is the mean
SPREAD, RIM_M, HALF_WIDTH_M = 1.6, 0.0009, (0.0012, 0.0042)     # half width: times a lock's spread, and more, within limits
NARROWED_TIP = 0.35            # of the width, lost at the tip
TWIST = 0.1                    # radians, standard deviation
ROOT_SHADE = 0.62              # how light hair is at its root, over its tip
ROUNDED = 0.25                 # how much a strip's own curvature bends its normals


@dataclass(frozen=True)
class Strips:
    """Flat strips [N] of K points: their middle lines `paths` [N, K, 3] metres and half widths [N, K]; `shade` and `grey` [N] are
    those of strands."""

    paths: np.ndarray
    half_width_m: np.ndarray
    shade: np.ndarray
    grey: np.ndarray


@functools.cache
def atlas():
    """(alpha, light) [H, W] of all variants, roots on top; light has a mean of one where there is hair."""
    draw = generator(0, "atlas of locks")
    variants = [_variant(draw) for _ in range(VARIANTS)]
    alpha, light = (np.concatenate(planes, 1) for planes in zip(*variants))
    light = light / light[alpha > 0.5].mean()
    return alpha, light.clip(0, LIGHTEST)


def _variant(draw):
    """One lock: hairs that lie close, so that the lock is solid in its middle whatever the level of detail, and end one after the
    other."""
    height, width = VARIANT_PX
    along, across = np.linspace(0, 1, height)[:, None], (np.arange(width) + 0.5) / width
    alpha, light = np.zeros(VARIANT_PX), np.ones(VARIANT_PX)
    phase, waves = draw.uniform(0, 2 * np.pi, 2), draw.uniform(5, 16, 2)
    for _ in range(HAIRS):
        # More hairs in the middle than at the rim, and the longest there.
        place = 0.5 + (0.5 - MARGIN) * np.clip(draw.normal(0, 0.5), -1, 1)
        ends = draw.uniform(*HAIR_ENDS) * (1 - 0.25 * abs(2 * place - 1))
        bend = place + 0.02 * np.sin(along * draw.uniform(2, 6) + draw.uniform(0, 6))
        bend = 0.5 + (bend - 0.5) * (1 - 0.35 * along ** 2)
        half = draw.uniform(0.035, 0.055) * (1 - 0.6 * (along / ends).clip(0, 1) ** 3)
        cover = np.clip((half - abs(across - bend)) * width + 0.5, 0, 1) * np.clip((ends - along) * 12, 0, 1)
        streak = STREAKS * np.sin(place * waves + phase).sum()
        light = np.where(cover > 0.5, draw.uniform(0.88, 1.12) + streak, light)
        alpha = np.maximum(alpha, cover)
    return alpha, light


def cut_locks(bundle, points, first):
    """A strip of `points` points for each lock of the bundle, as wide as the lock: along the mean path of the longer half of its
    strands, from their point `first` on. Strands that stray do not widen it."""
    locks, index = np.unique(bundle.lock, return_inverse=True)
    along = resample(bundle.points[:, first:], points)
    length = np.linalg.norm(np.diff(along, axis=1), axis=2).sum(1)
    order = np.lexsort((length, index))
    counts = np.bincount(index)
    middle = length[order][np.cumsum(counts) - counts + counts // 2]
    rows = lambda weight: csr_array((weight, (index, np.arange(len(index)))), shape=(len(locks), len(index)))
    mean = lambda weight, values: ((rows(weight) @ values.reshape(len(index), -1)) / rows(weight).sum(1)[:, None]).reshape(
        len(locks), *values.shape[1:])
    longer = (length >= middle[index]).astype(float)
    paths = mean(longer, along)
    kept = longer
    for _ in range(3):     # those that stray far from the path count little (Cauchy's weights)
        apart = np.linalg.norm(along - paths[index], axis=2).mean(1)
        usual = mean(kept, apart)[index] + 1e-5
        kept = longer / (1 + (apart / usual) ** 4)
        paths = mean(kept, along)
    direction = unit(np.gradient(paths, axis=1))[index]
    offset = along - paths[index]
    offset -= direction * (offset * direction).sum(2, keepdims=True)
    spread = np.sqrt(mean(kept, (offset ** 2).sum(2)) / 2)
    return Strips(paths, (SPREAD * spread + RIM_M).clip(*HALF_WIDTH_M), mean(longer, bundle.shade), mean(longer, bundle.grey))


def has_ribbons(identity):
    """True if the first image shows the hair of an identity as ribbons along single strands, not as cards."""
    return generator(identity.number, "hair as ribbons").random() < RIBBON_SHARE


def hair_strips(bundle, identity):
    """The strips as which the first image shows a bundle of head hair. Their first point is the strands' second: the first lies
    under the skin."""
    points = POINTS[identity.hair_style]
    if not has_ribbons(identity):
        return cut_locks(bundle, points, 1)
    draw = generator(identity.number, "ribbons " + bundle.name)
    chosen = subset(bundle, RIBBONS, draw)
    half_width_m = np.tile(draw.uniform(*RIBBON_HALF_M, (len(chosen), 1)), points)
    return Strips(resample(bundle.points[chosen, 1:], points), half_width_m, bundle.shade[chosen], bundle.grey[chosen])


def strip_mesh(strips, centre_m, twist):
    """Positions, normals [V, 3] and triangles [T, 3] of strips that lie on the head around `centre_m`, turned by `twist` [N] radians.

    Normals are those of the hair as a volume, away from the head, a little rounded. A strip has both of its sides, since a
    double-sided material turns the normals of the far one against the light.
    """
    points = strips.paths
    count, length, _ = points.shape
    away = around_head(points, centre_m)
    along = unit(np.gradient(points, axis=1))
    outward = unit(away - along * (away * along).sum(-1, keepdims=True) + 1e-4 * np.array([0.3, 0.5, 0.8]))
    across = np.cross(along, outward)
    side = across * np.cos(twist)[:, None, None] + outward * np.sin(twist)[:, None, None]
    narrowed = 1 - NARROWED_TIP * np.linspace(0, 1, length) ** 3
    offset = side * (strips.half_width_m * narrowed)[..., None]
    positions = np.stack([points - offset, points + offset], 2).reshape(-1, 3)
    normals = unit(np.stack([away - ROUNDED * side, away + ROUNDED * side], 2)).reshape(-1, 3)
    start = (np.arange(count) * length * 2)[:, None] + np.arange(length - 1) * 2
    quads = np.stack([start, start + 1, start + 3, start + 2], -1).reshape(-1, 4)
    outside = np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], 1).reshape(-1, 3)
    return positions, normals, np.concatenate([outside[:, ::-1], outside])


def strip_uvs(variant, length, mirrored):
    """Texture coordinates [V, 2], v down, of strips of `length` points: the atlas' `variant` [N] of each, `mirrored` [N] or not."""
    down = np.linspace(0.002, 0.998, length)
    left = np.where(mirrored, 1.0, 0.0)
    sides = np.stack([left, 1 - left], 1)[:, None]
    u = np.broadcast_to((variant[:, None, None] + sides) / VARIANTS, (len(variant), length, 2))
    return np.stack([u, np.broadcast_to(down[:, None], u.shape)], 3).reshape(-1, 2)


def strip_colours(albedo_linear, length):
    """Linear colours [V, 3] of strips with these albedos [N, 3]: darker towards the root, where hair shades itself."""
    light = ROOT_SHADE + (1 - ROOT_SHADE) * np.linspace(0, 1, length) ** 0.7
    return np.repeat((albedo_linear[:, None] * light[:, None])[:, :, None], 2, 2).reshape(-1, 3)
