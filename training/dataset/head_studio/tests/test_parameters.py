"""Seeds to parameters: the same every time, within range. Needs no Blender."""

import json
import unittest

import numpy as np

from head_studio.identity import as_json, draw_identity, generator, identity_of, slider_weights
from head_studio.lighting import EVEN_SKY, light_face
from head_studio import soft_boxes
from head_studio.wear import draw_wear
from head_studio.variation import APP_KINDS, SPLITS, draw_clip_frame, draw_variation, even_light, split_of

SLIDERS = ("eyes/l-eye-scale", "eyes/r-eye-scale", "nose/nose-hump", "head/head-age")


class Parameters(unittest.TestCase):
    def test_eight_seeds_share_an_identity(self):
        self.assertEqual([identity_of(seed) for seed in range(6, 18)], [0, 0, *[1] * 8, 2, 2])

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
            identity, variation = draw_identity(number), draw_variation(number)
            for name in ("male", "age", "weight", "muscle", "grey", "hair_melanin", "hair_redness"):
                self.assertTrue(0 <= getattr(identity, name) <= 1, (number, name))
            self.assertAlmostEqual(sum(identity.ancestry.values()), 1)
            self.assertTrue(all(0 <= w <= 1 for w in variation.expression.values()))
            self.assertTrue(-1 <= variation.rendering.exposure_ev <= 1)

    def test_no_split_sees_the_surroundings_of_another(self):
        seen = {name: {draw_variation(first + k).environment for k in range(600)} - {EVEN_SKY} for name, first, *_ in SPLITS}
        for name, _, photographed, numbers in SPLITS:
            boxes = {f"soft_boxes_{number:02}" for number in numbers}
            self.assertTrue(seen[name] <= {*photographed, *boxes} and seen[name] >= set(photographed), name)
            self.assertEqual(bool(seen[name] & boxes), bool(boxes), name)
        self.assertEqual(sum(map(len, seen.values())), len(set.union(*seen.values())))
        self.assertEqual([split_of(seed)[0] for seed in (899_999, 900_000, 999_999, 1_000_000)],
                         ["training", "validation", "validation", "test"])

    def test_soft_boxes_are_brighter_than_their_room_and_differ(self):
        images = [soft_boxes.make(number) for number in range(12)]
        for image in images:
            self.assertEqual(image.shape, (256, 512, 3))
            self.assertTrue(np.isfinite(image).all() and image.min() > 0)
            self.assertGreater(image.max(), 3 * np.median(image))
        self.assertEqual(len({float(image.mean()) for image in images}), len(images))

    def test_faces_fill_from_a_quarter_of_the_frame_to_more_than_all_of_it(self):
        widths = np.array([draw_variation(seed).frame_m for seed in range(400)])
        self.assertTrue(widths.min() < 0.14 and widths.max() > 0.6 and 0.25 < np.median(widths) < 0.33)
        self.assertTrue(all(draw_variation(s).frame_m * draw_variation(s).lens_mm / 36 > 0.299 for s in range(100)))

    def test_a_clip_turns_one_head_and_its_surroundings_together(self):
        frames = [draw_clip_frame(1_002_000 + k) for k in range(8)]
        yaws = np.array([frame.yaw_deg for frame in frames])
        steps = np.diff(yaws)
        self.assertTrue(np.allclose(steps, steps[0]) and 1.5 <= abs(steps[0]) <= 3)
        turned = np.array([frame.environment_rotation_deg for frame in frames])
        self.assertTrue(np.allclose(turned + yaws, turned[0] + yaws[0]))
        for name in ("expression", "gaze_deg", "key_azimuth_deg", "frame_m", "rendering", "background_top_linear"):
            self.assertTrue(all(getattr(frame, name) == getattr(frames[0], name) for frame in frames), name)

    def test_apps_light_with_a_sun_or_a_point_light_mostly_under_ambient_light(self):
        drawn = [draw_variation(seed) for seed in range(500)]
        apps = [one for one in drawn if one.light_kind in APP_KINDS]
        self.assertTrue(0.2 < len(apps) / len(drawn) < 0.4)
        self.assertTrue(0.6 < np.mean([one.environment == EVEN_SKY for one in apps]) < 0.9)
        self.assertTrue(all(one.background_kind == "gradient" for one in drawn if one.environment == EVEN_SKY))
        self.assertTrue(any(not one.rendering.shadows for one in apps) and any(one.rendering.shadows for one in apps))

    def test_screen_space_effects_and_multisampling_exclude_each_other(self):
        renderings = [draw_variation(seed).rendering for seed in range(400)]
        for rendering in renderings:
            multisampled = rendering.anti_aliasing == "msaa_4x"
            self.assertFalse(multisampled and (rendering.ssao or rendering.contact_shadows))
            self.assertTrue(multisampled or rendering.card_alpha != "alpha_to_coverage")
        self.assertTrue(any(rendering.ssao for rendering in renderings))

    def test_what_is_worn_is_plain_json_and_rooms_have_lamps_without_cones(self):
        worn = [draw_wear(seed, draw_variation(seed).light_kind) for seed in range(400)]
        json.dumps(worn, allow_nan=False)
        self.assertTrue(all(draw_variation(seed).light_kind in APP_KINDS for seed, one in enumerate(worn) if "room" in one))
        for kind in ("glasses", "headwear", "hand", "prop", "room"):
            self.assertTrue(any(kind in one for one in worn), kind)

    def test_sliders_do_not_depend_on_which_others_exist(self):
        identity = draw_identity(5)
        alone = slider_weights(identity, SLIDERS[:1])
        self.assertEqual(alone[SLIDERS[0]], slider_weights(identity, SLIDERS)[SLIDERS[0]])

    def test_the_two_sides_of_a_face_are_alike(self):
        for number in range(50):
            weights = slider_weights(draw_identity(number), SLIDERS)
            self.assertLess(abs(weights[SLIDERS[0]] - weights[SLIDERS[1]]), 0.3)

    def test_even_light_moves_no_lamp_and_lights_every_one(self):
        for seed in range(60):
            drawn, even = draw_variation(seed), even_light(draw_variation(seed))
            same = ("key_azimuth_deg", "key_elevation_deg", "key_diameter_m", "environment", "environment_rotation_deg")
            self.assertEqual([getattr(drawn, name) for name in same], [getattr(even, name) for name in same])
            image = np.ones((8, 16, 3))
            lights, environment = light_face(even, np.zeros(3), image, "sky.exr", 2.0)
            names = ["Key"] if drawn.light_kind in APP_KINDS else ["Key", "Fill", "Rim"]
            self.assertEqual([light.name for light in lights], names)
            on_face = sum(light.irradiance(np.zeros(3)) for light in lights[:2]) + 2.0 * even.environment_share
            self.assertAlmostEqual(on_face, 2.0)
            self.assertGreater(environment.strength, 0)


if __name__ == "__main__":
    unittest.main()
