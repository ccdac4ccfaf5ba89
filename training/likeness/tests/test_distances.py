"""Distances of a case, with embeddings that can be counted by hand. Needs no models."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.distances import measure
from likeness.manifest import Case, UsageError


class MeanColor:
    """Takes a picture's mean colour for its embedding, and finds a face where red is bright."""

    def find(self, pictures):
        return next((picture.mean(axis=(0, 1)) for picture in pictures if picture[..., 0].max() > 200), None)

    def embed(self, picture, landmarks):
        return picture.mean(axis=(0, 1)) - landmarks


class Distances(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def case(self, first, reference, **seconds):
        return Case("7", "anna", self.picture("first", first), self.picture("reference", reference),
                    {model: self.picture(model, color) for model, color in seconds.items()})

    def picture(self, name, color, size=(8, 8)):
        path = self.folder / f"{name}.png"
        Image.new("RGB", size, color).save(path)
        return path

    def test_every_model_gets_its_two_distances(self):
        case = self.case((10, 0, 0), (210, 30, 40), a=(10, 3, 4), b=(210, 0, 0))
        self.assertEqual(measure(case, MeanColor()), {
            "first_reference": round(float(np.linalg.norm([200, 30, 40])), 6),
            "seconds": {
                "a": {"first_second": 5.0, "second_reference": round(float(np.linalg.norm([200, 27, 36])), 6)},
                "b": {"first_second": 200.0, "second_reference": 50.0},
            },
        })

    def test_the_first_image_serves_where_the_reference_shows_no_face(self):
        self.assertIsNotNone(measure(self.case((210, 0, 0), (10, 0, 0)), MeanColor()))

    def test_a_case_without_a_face_is_not_guessed(self):
        self.assertIsNone(measure(self.case((10, 0, 0), (10, 0, 0), a=(250, 0, 0)), MeanColor()))

    def test_pictures_that_cannot_be_aligned_are_refused_with_both_sizes(self):
        case = self.case((10, 0, 0), (10, 0, 0), a=(1, 2, 3))
        self.picture("a", (1, 2, 3), size=(8, 6))
        with self.assertRaisesRegex(UsageError, "case 7.*8×8 and 8×6"):
            measure(case, MeanColor())

    def test_a_picture_that_is_none_is_named(self):
        case = self.case((10, 0, 0), (10, 0, 0))
        case.reference.write_bytes(b"no picture")
        with self.assertRaisesRegex(UsageError, "reference.png"):
            measure(case, MeanColor())
        case.reference.unlink()
        with self.assertRaisesRegex(UsageError, "reference.png"):
            measure(case, MeanColor())


if __name__ == "__main__":
    unittest.main()
