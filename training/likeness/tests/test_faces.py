"""The real models and the command line, on the README's pictures and on one without a face."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from PIL import Image

TRAINING = Path(__file__).resolve().parents[2]
SIDE_BY_SIDE = TRAINING.parent / "assets" / "readme" / "side_by_side.png"
SAME_PERSON = 0.6


class RealModels(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def run_tool(self, cases):
        (self.folder / "manifest.json").write_text(json.dumps({"cases": cases}))
        command = [sys.executable, "-m", "likeness", self.folder / "manifest.json", "--out", self.folder / "out.json"]
        return subprocess.run(command, cwd=TRAINING, capture_output=True, text=True)

    def test_one_person_is_near_itself_and_a_wall_is_nobody(self):
        with Image.open(SIDE_BY_SIDE) as sheet:
            side = sheet.height
            for column, name in enumerate(("first", "second", "reference")):
                sheet.crop((column * side, 0, (column + 1) * side, side)).save(self.folder / f"{name}.png")
        Image.new("RGB", (64, 64), (120, 110, 100)).save(self.folder / "wall.png")
        face = {"name": "face", "person": "a", "first": "first.png", "reference": "reference.png",
                "seconds": {"toy": "second.png", "nothing": "first.png"}}
        wall = {"name": "wall", "person": "b", "first": "wall.png", "reference": "wall.png",
                "seconds": {"toy": "wall.png"}}
        ran = self.run_tool([face, wall])
        self.assertEqual((ran.returncode, ran.stdout), (0, "2 cases, 1 without a face: wall\n"), ran.stderr)
        cases = json.loads((self.folder / "out.json").read_text())["cases"]
        self.assertIsNone(cases["wall"])
        nothing, toy = cases["face"]["seconds"]["nothing"], cases["face"]["seconds"]["toy"]
        self.assertEqual(nothing, {"first_second": 0.0, "second_reference": cases["face"]["first_reference"]})
        for distance in (*toy.values(), cases["face"]["first_reference"]):
            self.assertTrue(0.01 < distance < SAME_PERSON, cases)

    def test_a_bad_input_is_told_in_one_line(self):
        ran = self.run_tool([{"name": "face", "person": "a", "first": "a.png", "reference": "a.png", "seconds": {}}])
        self.assertEqual(ran.returncode, 2)
        self.assertRegex(ran.stderr, r"^likeness: .*a\.png.*\n$")
        self.assertFalse((self.folder / "out.json").exists())


if __name__ == "__main__":
    unittest.main()
