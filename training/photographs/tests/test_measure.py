"""From pictures to distances, with faces and networks that can be counted by hand. Needs no models."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from likeness.manifest import Case, UsageError
from photographs.measure import measure


class Finder:
    """Sees a face in bright pictures, with eyes a quarter of the width apart, and the nose aside where there is more blue."""

    def find(self, pictures, upsamplings=None):
        for picture in pictures:
            red, _, blue = picture[0, 0].astype(float)
            if red < 50:
                continue
            w = picture.shape[1]
            nose = w * (0.5 if blue <= red else 0.6) - 0.5
            points = ((0.6, 0.4), (0.65, 0.4), (0.35, 0.4), (0.4, 0.4))
            parts = [SimpleNamespace(x=x * w - 0.5, y=y * w - 0.5) for x, y in points]
            return SimpleNamespace(parts=lambda: [*parts, SimpleNamespace(x=nose, y=0.6 * w)])
        return None


class Green:
    """Takes a face's green for its only feature, and remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def features(self, face):
        self.shown.append(face)
        return [face[100, 112, 1] / 10]


class Measure(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.photographs = self.folder / "photographs"
        self.photographs.mkdir()
        self.network = Green()

    def picture(self, name, color, side=32):
        path = self.folder / f"{name}.png"
        Image.new("RGB", (side, side), color).save(path)
        return path

    def case(self, name, first, second, reference, face=(200, 0)):
        def picture(kind, green):
            return self.picture(f"{name}_{kind}", (face[0], green, face[1]))

        return Case(name, name, picture("first", first), picture("reference", reference), {"toy": picture("second", second)})

    def add_photographs(self, count=24, side=128):
        for at in range(count):
            # Two of each person.
            self.picture(f"photographs/{at // 2:03}_{at % 2}", (200, 100 + at % 5, 0), side)

    def measure(self, cases):
        return measure(cases, self.photographs, Finder(), {"green": self.network})

    def test_what_is_nearer_in_its_features_is_nearer_in_the_report(self):
        self.add_photographs()
        cases = [self.case(f"{at}", 180 + at % 3, 140 + at % 3, 101 + at % 3) for at in range(12)]
        found = self.measure(cases)
        counts = [found[key] for key in ("pairs", "undetected", "turned_or_cut", "photographs", "left_out")]
        self.assertEqual(counts, [12, 0, 0, 24, 0])
        green = found["models"]["toy"]["green"]
        self.assertGreater(green["first"]["kid"], green["second"]["kid"])
        self.assertGreater(green["second"]["kid"], 10 * abs(green["reference"]["kid"]))
        self.assertLess(green["ratio"]["kid_interval"][1], 1)

    def test_cases_without_a_face_and_with_one_that_is_turned_are_counted(self):
        self.add_photographs()
        cases = [self.case(f"{at}", 180, 140, 100) for at in range(10)]
        cases += [self.case("wall", 9, 9, 9, face=(20, 0)), self.case("aside", 9, 9, 9, face=(100, 200))]
        found = self.measure(cases)
        self.assertEqual([found[key] for key in ("pairs", "undetected", "turned_or_cut")], [10, 1, 1])
        self.assertIsNotNone(found["models"]["toy"]["green"])

    def test_photographs_come_to_the_pixels_of_the_pictures_and_smaller_ones_are_left_out(self):
        self.add_photographs(count=2, side=256)
        stripes = np.zeros((256, 256, 3), np.uint8)
        stripes[:, :, 0] = 200
        stripes[:, ::2, 1] = 200
        Image.fromarray(stripes).save(self.photographs / "000_0.png")
        self.picture("photographs/001_0", (200, 0, 0), side=16)
        found = self.measure([self.case("0", 0, 0, 0)])
        # Too few people for distances, and no reason to fail.
        self.assertIsNone(found["models"]["toy"]["green"])
        self.assertEqual((found["photographs"], found["left_out"]), (2, 1))
        # Stripes of one pixel are a tone at an eighth of the size.
        middle = self.network.shown[3][90:130, 90:130, 1]
        self.assertTrue((abs(middle.astype(int) - 100) <= 1).all(), middle)

    def test_a_folder_of_no_photographs_is_refused_before_anything_is_measured(self):
        with self.assertRaisesRegex(UsageError, r"photographs: expected photographs \(\.jpg, \.jpeg, \.png\), found none"):
            self.measure([])
        (self.photographs / "info.csv").write_text("face_id\n")
        with self.assertRaisesRegex(UsageError, "found none"):
            self.measure([])
        with self.assertRaisesRegex(UsageError, "nowhere: No such file"):
            measure([], self.folder / "nowhere", Finder(), {})
        (self.photographs / "a.JPG").write_bytes(b"no picture")
        with self.assertRaisesRegex(UsageError, "a.JPG.*expected a picture"):
            self.measure([])

    def test_photographs_without_a_face_are_refused_with_their_number(self):
        for at in range(3):
            self.picture(f"photographs/{at}", (10, 0, 0))
        with self.assertRaisesRegex(UsageError, "seen from the front.*8 to 8 pixels.*none among 3"):
            self.measure([self.case("0", 0, 0, 0)])

    def test_without_cases_only_the_folder_is_tried(self):
        self.add_photographs(count=2)
        self.assertEqual((self.measure([])["pairs"], self.network.shown), (0, []))


if __name__ == "__main__":
    unittest.main()
