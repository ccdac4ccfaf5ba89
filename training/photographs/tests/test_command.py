"""The command line with the real models, on the README's pictures: its reference stands in for a photograph."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from likeness.faces import Finder
from photographs.align import CROP_PX, EYES_PX, EYES_Y_PX, crop, eyes_of

TRAINING = Path(__file__).resolve().parents[2]
SIDE_BY_SIDE = TRAINING.parent / "assets" / "readme" / "side_by_side.png"


class Command(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        (self.folder / "photographs").mkdir()
        with Image.open(SIDE_BY_SIDE) as sheet:
            side = sheet.height
            for column, name in enumerate(("first", "second", "reference")):
                picture = sheet.crop((column * side, 0, (column + 1) * side, side))
                picture.resize((256, 256)).save(self.folder / f"{name}.png")
            self.reference = picture

    def run_tool(self):
        case = {"name": "7", "person": "anna", "first": "first.png", "reference": "reference.png",
                "seconds": {"toy": "second.png"}}
        (self.folder / "manifest.json").write_text(json.dumps({"cases": [case]}))
        command = [sys.executable, "-m", "photographs", self.folder / "manifest.json", "--photographs",
                   self.folder / "photographs", "--out", self.folder / "out.json"]
        return subprocess.run(command, cwd=TRAINING, capture_output=True, text=True)

    def test_faces_are_counted_and_one_is_too_few_for_distances(self):
        self.reference.save(self.folder / "photographs" / "001_neutral.png")
        Image.new("RGB", (200, 200), (120, 110, 100)).save(self.folder / "photographs" / "wall.png")
        ran = self.run_tool()
        self.assertEqual((ran.returncode, ran.stdout), (0, "1 cases and 1 photographs compared\n"), ran.stderr)
        self.assertEqual(json.loads((self.folder / "out.json").read_text()), {
            "pairs": 1, "undetected": 0, "turned_or_cut": 0, "photographs": 1, "left_out": 1,
            "models": {"toy": {"dino": None, "efficientnet": None}},
        })

    def test_a_folder_without_photographs_is_told_in_one_line(self):
        ran = self.run_tool()
        self.assertEqual(ran.returncode, 2)
        self.assertRegex(ran.stderr, r"^photographs: .*expected photographs .*found none\n$")
        self.assertFalse((self.folder / "out.json").exists())

    def test_a_face_that_is_found_again_in_its_crop_has_its_eyes_where_they_belong(self):
        finder = Finder()
        for picture in (self.reference, self.reference.resize((256, 256)), self.reference.rotate(12)):
            picture = np.asarray(picture.convert("RGB"))
            face = crop(picture, eyes_of(finder.find([picture]))[0])
            # Grey around it, so that the detector sees more than an oval that fills the picture.
            face = np.pad(face, ((100, 100), (100, 100), (0, 0)), constant_values=128)
            found = eyes_of(finder.find([face]))[0] - 100
            expected = [[(CROP_PX - EYES_PX) / 2, EYES_Y_PX], [(CROP_PX + EYES_PX) / 2, EYES_Y_PX]]
            # The landmarks of a masked face scatter by a few hundredths of the distance between the eyes.
            self.assertLess(np.abs(found - expected).max(), 0.08 * EYES_PX, found)


if __name__ == "__main__":
    unittest.main()
