"""Seeds to parameters: the same every time, within range. Needs no Blender."""

import json
import unittest

from head_studio.identity import (as_json, draw_identity, draw_variation, generator, identity_of, slider_weights)

SLIDERS = ("eyes/l-eye-scale", "eyes/r-eye-scale", "nose/nose-hump", "head/head-age")


class Parameters(unittest.TestCase):
    def test_four_seeds_share_an_identity(self):
        self.assertEqual([identity_of(seed) for seed in range(8)], [0, 0, 0, 0, 1, 1, 1, 1])

    def test_the_same_number_gives_the_same_identity_and_variation(self):
        for number in (0, 7, 225000):
            self.assertEqual(draw_identity(number), draw_identity(number))
            self.assertEqual(draw_variation(number), draw_variation(number))

    def test_neighbours_differ(self):
        self.assertNotEqual(draw_identity(1).melanin, draw_identity(2).melanin)
        self.assertNotEqual(draw_variation(1).yaw_deg, draw_variation(2).yaw_deg)

    def test_purposes_do_not_share_their_draws(self):
        self.assertNotEqual(generator(3, "skin").random(), generator(3, "hair").random())

    def test_parameters_are_plain_json(self):
        for number in range(40):
            text = json.dumps([as_json(draw_identity(number)), as_json(draw_variation(number))], allow_nan=False)
            self.assertIn("melanin", text)

    def test_fractions_stay_in_range(self):
        for number in range(200):
            identity = draw_identity(number)
            for name in ("male", "age", "weight", "muscle", "grey", "hair_melanin", "hair_redness"):
                self.assertTrue(0 <= getattr(identity, name) <= 1, (number, name))
            self.assertAlmostEqual(sum(identity.ancestry.values()), 1)
            self.assertTrue(all(0 <= w <= 1 for w in draw_variation(number).expression.values()))

    def test_sliders_do_not_depend_on_which_others_exist(self):
        identity = draw_identity(5)
        alone = slider_weights(identity, SLIDERS[:1])
        self.assertEqual(alone[SLIDERS[0]], slider_weights(identity, SLIDERS)[SLIDERS[0]])

    def test_the_two_sides_of_a_face_are_alike(self):
        for number in range(50):
            weights = slider_weights(draw_identity(number), SLIDERS)
            self.assertLess(abs(weights[SLIDERS[0]] - weights[SLIDERS[1]]), 0.3)


if __name__ == "__main__":
    unittest.main()
