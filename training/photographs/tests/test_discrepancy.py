"""Discrepancies whose value is known. Needs no models."""

import unittest

import numpy as np

from photographs.discrepancy import Sample, distances, gaussian_kernel, kid_kernel, median_distance, squared_mmd


def normal(seed, count, dimensions, shift=0.0):
    """A sample of as many people, each number N(shift, 1)."""
    return Sample(np.random.default_rng(seed).normal(shift, 1, (count, dimensions)), range(count))


def once(kernel, a, b):
    return squared_mmd(kernel, a, b, np.ones((1, a.people)), np.ones((1, b.people)))[0]


def kid_of_shift(shift, dimensions):
    """KID of N(0, 1) and N(shift, 1): with (s + 1)³ = s³ + 3 s² + 3 s + 1, squared differences of three moments."""
    mean, other = np.zeros(dimensions), np.full(dimensions, shift)

    def moments(m):
        eye = np.eye(dimensions)
        second = eye + np.outer(m, m)
        third = (np.einsum("i,jk->ijk", m, eye) + np.einsum("j,ik->ijk", m, eye) + np.einsum("k,ij->ijk", m, eye)
                 + np.einsum("i,j,k->ijk", m, m, m))
        return m, second, third

    factors = (3 / dimensions, 3 / dimensions**2, 1 / dimensions**3)
    return sum(factor * ((a - b) ** 2).sum() for factor, a, b in zip(factors, moments(mean), moments(other)))


class Discrepancy(unittest.TestCase):
    def test_shifted_gaussians_are_as_far_apart_as_calculus_says(self):
        def mean_of_draws(kernel, dimensions, shift):
            draws = range(0, 400, 2)
            return np.mean([once(kernel, normal(at, 100, dimensions), normal(at + 1, 100, dimensions, shift)) for at in draws])

        # E exp(−‖x − y‖² / 2w²) of x − y ~ N(μ, 2) is a product over dimensions.
        width, dimensions, shift = 2.0, 5, 0.7
        alike = (width**2 / (width**2 + 2)) ** (dimensions / 2)
        expected = 2 * alike * (1 - np.exp(-dimensions * shift**2 / (2 * (width**2 + 2))))
        self.assertLess(abs(mean_of_draws(gaussian_kernel(width), dimensions, shift) / expected - 1), 0.05)
        # (xy + 1)³ compares three moments, and N(1, 1) has 1, 2 and 4 where N(0, 1) has 0, 1 and 0.
        self.assertEqual(kid_of_shift(1.0, 1), 4**2 + 3 * 1 + 3 * 1)
        for dimensions, shift in ((1, 1.0), (6, 0.5)):
            found = mean_of_draws(kid_kernel, dimensions, shift)
            self.assertLess(abs(found / kid_of_shift(shift, dimensions) - 1), 0.05, (dimensions, found))

    def test_alike_samples_have_no_distance(self):
        one, other = normal(5, 500, 8), normal(6, 500, 8)
        for kernel in (kid_kernel, gaussian_kernel(median_distance(one))):
            far = once(kernel, one, normal(7, 500, 8, 1.0))
            self.assertLess(abs(once(kernel, one, other)), 0.01 * far)
            itself = Sample(one.features, range(one.people))
            self.assertLess(abs(once(kernel, one, itself)), 0.01 * far)

    def test_two_pictures_of_everybody_say_no_more_than_one(self):
        one, other = normal(8, 30, 4), normal(9, 40, 4, 0.5)
        twice = Sample(np.repeat(one.features, 2, 0), np.repeat(range(30), 2))
        self.assertAlmostEqual(once(kid_kernel, twice, other), once(kid_kernel, one, other), places=9)
        self.assertAlmostEqual(median_distance(twice), median_distance(one), places=9)
        kinds = {"first": one, "second": one}
        self.assertEqual(distances(other, kinds), distances(other, {"first": twice, "second": twice}))

    def test_nineteen_of_twenty_intervals_hold_the_truth(self):
        truth, held, draws = {"first": 1.0, "second": 0.5, "reference": 0.0}, 0, 20
        for at in range(draws):
            kinds = {kind: normal(100 * at + order, 70, 6, shift) for order, (kind, shift) in enumerate(truth.items())}
            found = distances(normal(100 * at + 50, 60, 6), kinds)
            for kind, shift in truth.items():
                low, high = found[kind]["kid_interval"]
                self.assertTrue(low < found[kind]["kid"] < high, (kind, found))
                held += low < kid_of_shift(shift, 6) < high
            low, high = found["ratio"]["kid_interval"]
            self.assertTrue(low < found["second"]["kid"] / found["first"]["kid"] < high < 1, found["ratio"])
        self.assertTrue(0.87 <= held / (3 * draws) <= 1, held)

    def test_an_image_that_did_not_change_has_a_ratio_of_exactly_one(self):
        same = normal(14, 20, 3, 1.0)
        found = distances(normal(15, 20, 3), {"first": same, "second": same})
        self.assertEqual((found["ratio"]["kid"], found["ratio"]["kid_interval"]), (1.0, [1.0, 1.0]))

    def test_there_is_no_ratio_to_nothing_and_no_distance_of_few_people(self):
        alike = normal(16, 20, 3)
        found = distances(normal(17, 20, 3), {"first": alike, "second": normal(18, 20, 3, 1.0)})
        self.assertIsNone(found["ratio"]["kid"])
        few = normal(19, 9, 3)
        self.assertIsNone(distances(alike, {"first": few, "second": few}))
        self.assertIsNone(distances(few, {"first": alike, "second": alike}))


if __name__ == "__main__":
    unittest.main()
