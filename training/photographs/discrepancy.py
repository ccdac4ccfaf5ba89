"""Squared maximum mean discrepancy: how far two sets of features are apart, and how sure that is.

MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y) (Gretton et al. 2012). With the kernel (x·y / d + 1)³ it is the kernel
inception distance, KID (Bińkowski et al. 2018). The estimator is unbiased: it leaves out pairs of features of one person.
Around 0, where both sets are alike, it is as often below as above.
"""

import numpy as np

RESAMPLES = 1000
# Fewer people than this have no distribution to speak of.
MIN_PEOPLE = 10


class Sample:
    """Features `[N, D]`, with the person of each."""

    def __init__(self, features, people):
        self.features = np.asarray(features, np.float64)
        _, person = np.unique(people, return_inverse=True)
        # [N, P]: 1 where features are of a person.
        self.of_person = np.eye(person.max() + 1)[person]
        self.people = self.of_person.shape[1]


def kid_kernel(a, b):
    """The kernel of KID."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def gaussian_kernel(width):
    """exp(−‖x − y‖² / 2 width²)."""
    return lambda a, b: np.exp(-_squared_distances(a, b) / (2 * width**2))


def median_distance(sample):
    """Median distance between features of different people."""
    different = sample.of_person @ sample.of_person.T == 0
    return float(np.sqrt(np.median(_squared_distances(sample.features, sample.features)[different])))


def squared_mmd(kernel, a, b, weights_a, weights_b):
    """MMD² for every row of weights, `[R, people of a]` and `[R, people of b]`: how often a person is drawn."""
    def mean(one, weights_one, other, weights_other):
        sums = one.of_person.T @ kernel(one.features, other.features) @ other.of_person
        counts = np.outer(one.of_person.sum(0), other.of_person.sum(0))
        if one is other:
            np.fill_diagonal(sums, 0)
            np.fill_diagonal(counts, 0)
        return ((weights_one @ sums) * weights_other).sum(1) / ((weights_one @ counts) * weights_other).sum(1)

    return (mean(a, weights_a, a, weights_a) + mean(b, weights_b, b, weights_b)
            - 2 * mean(a, weights_a, b, weights_b))


def distances(photographs, kinds):
    """Distances of kinds of pictures to photographs, `{kind: {"kid", "kid_interval", "mmd", "mmd_interval"}}`.

    `kinds` are samples of the same people in the same order, `first` and `second` among them. `ratio` is the distance of
    `second` divided by that of `first`; None where one drawing has a distance of 0 or less for `first`. `mmd` is squared,
    with a Gaussian kernel that is as wide as the median distance between photographs. Intervals are of 95 %, by bootstrap
    over people, the same drawings for all kinds. None for fewer than `MIN_PEOPLE`.
    """
    people = kinds["first"].people
    if min(photographs.people, people) < MIN_PEOPLE:
        return None
    generator = np.random.default_rng(0)

    def draw(count):
        # Everybody once, then the bootstrap's drawings.
        return np.concatenate([np.ones((1, count)), generator.multinomial(count, [1 / count] * count, RESAMPLES)])

    drawn_photographs, drawn = draw(photographs.people), draw(people)
    found = {kind: {} for kind in (*kinds, "ratio")}
    for name, kernel in (("kid", kid_kernel), ("mmd", gaussian_kernel(median_distance(photographs)))):
        values = {kind: squared_mmd(kernel, photographs, sample, drawn_photographs, drawn)
                  for kind, sample in kinds.items()}
        has_ratio = (values["first"] > 0).all()
        values["ratio"] = values["second"] / values["first"] if has_ratio else None
        for kind, value in values.items():
            found[kind][name] = None if value is None else _rounded(value[0])
            found[kind][f"{name}_interval"] = (
                None if value is None else [_rounded(end) for end in np.percentile(value[1:], [2.5, 97.5])])
    return found


def _squared_distances(a, b):
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(squares, 0)


def _rounded(value):
    return float(f"{value:.6g}")
