"""Hair cards, as games have them: each lock of strands is a strip along their mean path, with many hairs painted on."""

import functools
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from .identity import generator
from .noise import smoothstep
from .strands import around_head, resample, subset
from .subdivision import unit

POINTS = {"short": 7, "curls": 7, "side": 8, "back": 8, "tied": 14, "bob": 15, "long": 19}    # of a strip
# Of identities with ribbons along single strands instead, as some games have them: how many, and their half width.
RIBBON_SHARE, RIBBONS, RIBBON_HALF_M = 0.1, 1900, (0.0028, 0.0042)
VARIANTS, VARIANT_PX = 8, (256, 64)    # of a lock in the atlas, side by side; height and width of each
HAIRS = 32                     # painted on each
# Where they begin at the latest, and where they end, as shares of the lock's length.
HAIR_BEGINS, HAIR_ENDS = 0.07, (0.72, 1.0)
MARGIN = 0.09                  # of a variant's width, without hair, so that smaller levels do not run together
STREAKS = 0.05                 # how much lighter or darker a lock's own streaks are
LIGHTEST = 1.35                # of the atlas: its white, where one is the mean
SPREAD, RIM_M, HALF_WIDTH_M = 2.0, 0.0014, (0.002, 0.005)     # half width: times a lock's spread, and more, within limits
NARROWED_ROOT, NARROWED_TIP = 0.4, 0.35        # of the width, lost at the root, so that a hairline is not blunt, and at the tip
TWIST = 0.04                   # radians, standard deviation
# Hair lies in a thin shell: in as many rounds it is lifted by this share of what it lies below this quantile of its neighbours,
# but for the first share of a strip, on which it rises from the skin, and by no more than a share of its length.
SHELL_SHARE, SHELL_QUANTILE, SHELL_ROUNDS, RISE = 0.8, 0.85, 4, 0.3
SHELL_NEIGHBOURS, SHELL_REACH_M, SHELL_STRIDE = 24, 0.016, 6      # of every sixth point
LIFT_SHARE, LIFT_SHARES = 0.22, {"short": 0.1, "tied": 0.0}      # short hair stands off, tied hair lies flat
# Curls, of which a lock has two cards: from where they show, how far they lie over, as shares of their length, and the width of
# each over the lock's.
CURL_BASE, CURL_REACH, CURL_WIDENED = 0.3, 0.2, 1.4
ROOT_SHADE = 0.78              # how light hair is at its root, over its tip
PARTED_M = 0.003               # from a lock's mean path to its closest strand: then the path is no strand's
OWN, NEIGHBOURS = 0.4, 8        # of a strip's shade and greyness that is its own, and how many neighbours the rest is of
ROUNDED = 0.1                  # how much a strip's own curvature bends its normals


@dataclass(frozen=True)
class Strips:
    """Flat strips [N] of K points: their middle lines `paths` [N, K, 3] metres, half widths [N, K], what they face, `away`
    [N, K, 3], and the `normals` [N, K, 3] that they are lit by: those of the head below, so that neighbours look alike. `shade`
    and `grey` [N] are those of strands."""

    paths: np.ndarray
    away: np.ndarray
    normals: np.ndarray
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
    """One lock: hairs that lie close, so that the lock is solid in its middle whatever the level of detail, and end one after
    the other."""
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
        begins = draw.uniform(0, HAIR_BEGINS)
        cover = np.clip((half - abs(across - bend)) * width + 0.5, 0, 1) * (along >= begins)
        cover = cover * np.clip((ends - along) * 12, 0, 1)
        streak = STREAKS * np.sin(place * waves + phase).sum()
        light = np.where(cover > 0.5, draw.uniform(0.93, 1.07) + streak, light)
        alpha = np.maximum(alpha, cover)
    return alpha, light


def cut_locks(bundle, points, first):
    """A strip for each lock of the bundle, as wide as the lock: paths [N, points, 3], half widths [N, points], shade and grey [N].

    It runs along the mean path of the longer half of the lock's strands, from their point `first` on. Strands that stray do
    not widen it.
    """
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
    # Where strands part ways there is no hair between them: the strand that comes closest to the mean path stands for it.
    apart = np.linalg.norm(along - paths[index], axis=2).mean(1)
    closest = np.lexsort((apart, index))[np.cumsum(counts) - counts]
    parted = apart[closest] > PARTED_M
    paths[parted] = along[closest[parted]]
    direction = unit(np.gradient(paths, axis=1))[index]
    offset = along - paths[index]
    offset -= direction * (offset * direction).sum(2, keepdims=True)
    spread = np.sqrt(mean(kept, (offset ** 2).sum(2)) / 2)
    return paths, (SPREAD * spread + RIM_M).clip(*HALF_WIDTH_M), mean(longer, bundle.shade), mean(longer, bundle.grey)


def like_neighbours(values, paths):
    """Values [N] of strips drawn towards the mean of their neighbours': strands of locks that touch mix."""
    middle = paths[:, paths.shape[1] // 2]
    return (1 - OWN) * values[cKDTree(middle).query(middle, k=NEIGHBOURS)[1]].mean(1) + OWN * values


def lay_in_shell(paths, centre_m, lift_share):
    """The paths [N, K, 3] with hair that lies below other hair lifted close under the outermost, by at most `lift_share` of its
    length, and the directions that the hair's surface faces there.

    Layers of strands shadow each other everywhere; a rasteriser's shadow map makes specks of that.
    """
    count, points, _ = paths.shape
    length = np.cumsum(np.linalg.norm(np.diff(paths, axis=1, prepend=paths[:, :1]), axis=2), axis=1)
    room = lift_share * length * smoothstep(0.0, RISE, np.linspace(0, 1, points))
    some = generator(0, "shell of locks").permutation(count * points)[::SHELL_STRIDE]
    for _ in range(SHELL_ROUNDS):
        flat, away = paths.reshape(-1, 3), around_head(paths, centre_m).reshape(-1, 3)
        distance, index = cKDTree(flat[some]).query(flat, k=SHELL_NEIGHBOURS, distance_upper_bound=SHELL_REACH_M)
        found = np.isfinite(distance)
        offset = np.where(found[..., None], flat[some][np.minimum(index, len(some) - 1)] - flat[:, None], 0)
        above = np.quantile(np.einsum("nkc,nc->nk", offset, away), SHELL_QUANTILE, axis=1).clip(0)
        lift = (SHELL_SHARE * above).reshape(count, points)
        for _ in range(2):
            lift[:, 1:-1] = 0.25 * lift[:, :-2] + 0.5 * lift[:, 1:-1] + 0.25 * lift[:, 2:]
        lift = np.minimum(lift, room)
        paths, room = paths + lift[..., None] * away.reshape(paths.shape), room - lift
    offset -= offset.mean(1, keepdims=True)
    spread, axes = np.linalg.eigh(np.einsum("nkc,nkd->ncd", offset, offset))
    facing = axes[:, :, 0] * np.sign((axes[:, :, 0] * away).sum(1, keepdims=True))
    flatness = (1 - spread[:, :1] / np.maximum(spread[:, 1:2], 1e-12)).clip(0, 1)
    facing = unit(away + 2 * flatness * facing).reshape(paths.shape)
    facing[:, 1:-1] = unit(facing[:, :-2] + facing[:, 1:-1] + facing[:, 2:])
    return paths, facing


def curl_over(paths, centre_m, draw):
    """The paths of locks that stand off the head, as curls do, laid over at the hair's surface, each its own way."""
    root, tip = paths[:, :1], paths[:, -1:]
    low, away = root + CURL_BASE * (tip - root), around_head(tip, centre_m)
    sideways = np.cross(away, draw.normal(0, 1, away.shape))
    s = np.linspace(0, 1, paths.shape[1])[:, None]
    reach = CURL_REACH * np.linalg.norm(tip - root, axis=2, keepdims=True)
    curled = low + (tip - low) * np.sin(0.5 * np.pi * s) + unit(sideways) * reach * s
    return curled, around_head(curled, centre_m)


def has_ribbons(identity):
    """True if the first image shows the hair of an identity as ribbons along single strands, not as cards."""
    return generator(identity.number, "hair as ribbons").random() < RIBBON_SHARE


def hair_strips(bundle, identity, centre_m):
    """The strips as which the first image shows a bundle of head hair, on a head around `centre_m`. Their first point is the
    strands' second: the first lies under the skin."""
    points, draw = POINTS[identity.hair_style], generator(identity.number, "strips " + bundle.name)
    if has_ribbons(identity):
        chosen = subset(bundle, RIBBONS, draw)
        half_width_m = np.tile(draw.uniform(*RIBBON_HALF_M, (len(chosen), 1)), points)
        paths, shade, grey = resample(bundle.points[chosen, 1:], points), bundle.shade[chosen], bundle.grey[chosen]
    else:
        paths, half_width_m, shade, grey = cut_locks(bundle, points, 1)
    if identity.hair_style == "curls":
        twice = [np.concatenate([values, values]) for values in (paths, CURL_WIDENED * half_width_m, shade, grey)]
        paths, half_width_m, shade, grey = twice
        paths, away = curl_over(paths, centre_m, draw)
    else:
        paths, away = lay_in_shell(paths, centre_m, LIFT_SHARES.get(identity.hair_style, LIFT_SHARE))
    return Strips(paths, away, around_head(paths, centre_m), half_width_m, like_neighbours(shade, paths),
                  like_neighbours(grey, paths))


def strip_mesh(strips, twist):
    """Positions, normals [V, 3] and triangles [T, 3] of strips, turned by `twist` [N] radians.

    Normals are the strips' own, a little rounded. A strip has both of its sides, since a
    double-sided material turns the normals of the far one against the light.
    """
    points, away = strips.paths, strips.away
    count, length, _ = points.shape
    along = unit(np.gradient(points, axis=1))
    outward = unit(away - along * (away * along).sum(-1, keepdims=True) + 1e-4 * np.array([0.3, 0.5, 0.8]))
    across = np.cross(along, outward)
    side = across * np.cos(twist)[:, None, None] + outward * np.sin(twist)[:, None, None]
    at = np.linspace(0, 1, length)
    narrowed = 1 - NARROWED_TIP * at ** 3 - NARROWED_ROOT * smoothstep(0.2, 0.0, at)
    offset = side * (strips.half_width_m * narrowed)[..., None]
    positions = np.stack([points - offset, points + offset], 2).reshape(-1, 3)
    normals = unit(np.stack([strips.normals - ROUNDED * side, strips.normals + ROUNDED * side], 2)).reshape(-1, 3)
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
