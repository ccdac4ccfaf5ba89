"""Where faces land in a crop, on drawings whose eyes are known. Needs no models."""

import unittest
from types import SimpleNamespace

import numpy as np
from PIL import Image

from photographs.align import CROP_PX, EYES_PX, EYES_Y_PX, GREY, crop, distance, eyes_of, faces_ahead, shrink


def drawing(size_px, eyes, radius_px):
    """A black picture with a white disc at each eye, drawn at four times its size."""
    y, x = (np.mgrid[: 4 * size_px, : 4 * size_px] + 0.5) / 4
    discs = sum(np.hypot(x - eye[0], y - eye[1]) < radius_px for eye in eyes)
    large = Image.fromarray((discs * 255).astype(np.uint8))
    return np.asarray(large.resize((size_px, size_px), Image.Resampling.BOX).convert("RGB"))


def centres(face):
    """Centres of what is white in the left and in the right half of a crop, above the mouth."""
    white = np.where(face[:110, :, 0] > GREY + 40, face[:110, :, 0].astype(float) - GREY, 0)
    y, x = np.mgrid[: white.shape[0], :CROP_PX] + 0.5
    halves = (x < CROP_PX / 2), (x >= CROP_PX / 2)
    return [((white * half * x).sum() / (white * half).sum(), (white * half * y).sum() / (white * half).sum())
            for half in halves]


def landmarks(*points):
    return SimpleNamespace(parts=lambda: [SimpleNamespace(x=x, y=y) for x, y in points])


class Align(unittest.TestCase):
    def test_eyes_are_level_and_at_their_place_whatever_their_distance_and_slope(self):
        for size_px, left, right in ((64, (20, 26), (40, 24)), (256, (90, 120), (150, 80)), (700, (200, 300), (500, 340))):
            eyes = np.array([left, right], float)
            face = crop(drawing(size_px, eyes, 0.12 * distance(eyes)), eyes)
            for found, x in zip(centres(face), (CROP_PX - EYES_PX, CROP_PX + EYES_PX)):
                self.assertLess(np.hypot(found[0] - x / 2, found[1] - EYES_Y_PX), 0.8, (size_px, found))

    def test_outside_of_the_oval_all_crops_are_alike(self):
        eyes = np.array([[100, 100], [156, 100]], float)
        black, white = (crop(np.full((256, 256, 3), value, np.uint8), eyes) for value in (0, 255))
        same = (black == white).all(-1)
        self.assertTrue((black[same] == GREY).all())
        self.assertTrue(0.3 < same.mean() < 0.5, same.mean())
        self.assertTrue((black[~same].max(-1) <= GREY).all() and (white[~same].min(-1) >= GREY).all())
        # Brows, eyes, mouth and chin are within.
        for y in (EYES_Y_PX - 0.5 * EYES_PX, EYES_Y_PX, EYES_Y_PX + 1.1 * EYES_PX, EYES_Y_PX + 1.7 * EYES_PX):
            self.assertEqual((black[int(y), CROP_PX // 2, 0], white[int(y), CROP_PX // 2, 0]), (0, 255))

    def test_a_photograph_that_is_brought_down_is_as_sharp_as_a_small_picture(self):
        noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
        small = np.asarray(Image.fromarray(noise).resize((256, 256), Image.Resampling.BOX))
        eyes = np.array([[410, 400], [610, 420]], float)
        expected = crop(small, eyes / 4)
        brought_down = crop(*shrink(noise, eyes, distance(eyes / 4)))
        self.assertLess(np.abs(brought_down.astype(float) - expected).mean(), 0.01)
        self.assertGreater(np.abs(crop(noise, eyes).astype(float) - expected).mean(), 5)

    def test_a_face_that_is_larger_than_its_crop_is_averaged_and_not_sampled(self):
        # Noise of ±74 in the mean over 4 × 4 pixels is one of ±18.
        noise = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), np.uint8)
        face = crop(noise, np.array([[336, 400], [688, 400]], float))
        self.assertTrue(15 < face[80:140, 80:140].std() < 22, face[80:140, 80:140].std())

    def test_nothing_is_enlarged_to_be_compared(self):
        picture, eyes = np.zeros((50, 40, 3), np.uint8), np.array([[10, 10], [30, 10]], float)
        same, same_eyes = shrink(picture, eyes, 25)
        self.assertEqual((same.shape, same_eyes.tolist()), (picture.shape, eyes.tolist()))

    def test_eyes_come_from_five_landmarks_and_a_turned_head_shows_in_the_nose(self):
        # dlib names the eye at the right of the picture first, outer corner first.
        ahead = landmarks((70, 30), (50, 30), (10, 30), (30, 30), (40, 60))
        eyes, off_middle = eyes_of(ahead)
        self.assertEqual((eyes.tolist(), off_middle), ([[20.5, 30.5], [60.5, 30.5]], 0.0))
        aside = landmarks((70, 30), (50, 30), (10, 30), (30, 30), (48, 60))
        self.assertAlmostEqual(eyes_of(aside)[1], 0.2)
        picture = np.zeros((150, 80, 3), np.uint8)
        self.assertTrue(faces_ahead(picture, *eyes_of(ahead)))
        self.assertFalse(faces_ahead(picture, *eyes_of(aside)))
        # A head that is tilted is not turned.
        tilted = landmarks((60, 60), (50, 50), (30, 30), (40, 40), (30, 60))
        self.assertAlmostEqual(eyes_of(tilted)[1], 0.0)

    def test_a_face_is_whole_if_its_oval_is_in_the_picture(self):
        # The oval is 0.9 × 40 to each side of the eyes' middle, 0.65 × 40 above it and 1.75 × 40 below.
        eyes = np.array([[30, 40], [70, 40]], float)
        for height, width, is_whole in ((110, 86, True), (109, 86, False), (110, 85, False)):
            self.assertEqual(faces_ahead(np.zeros((height, width, 3), np.uint8), eyes, 0.0), is_whole, (height, width))
        picture = np.zeros((200, 200, 3), np.uint8)
        for shift, is_whole in (((-14, -14), True), ((-15, 0), False), ((0, -15), False)):
            self.assertEqual(faces_ahead(picture, eyes + shift, 0.0), is_whole, shift)


if __name__ == "__main__":
    unittest.main()
