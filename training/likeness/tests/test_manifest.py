"""What a manifest may be. Needs no models."""

import json
import tempfile
import unittest
from pathlib import Path

from likeness import manifest

CASE = {"name": "7", "person": "anna", "first": "a.png", "reference": "b.png", "seconds": {"toy": "c.png"}}


class Manifests(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name) / "manifest.json"

    def assert_refused(self, text, *parts):
        self.path.write_text(text)
        with self.assertRaises(manifest.UsageError, msg=text) as caught:
            manifest.read(self.path)
        for part in ("manifest.json", *parts):
            self.assertIn(part, str(caught.exception))

    def test_pictures_lie_beside_the_manifest(self):
        self.path.write_text(json.dumps({"cases": [CASE]}))
        case, = manifest.read(self.path)
        self.assertEqual((case.name, case.person, case.first), ("7", "anna", self.path.parent / "a.png"))
        self.assertEqual(case.seconds, {"toy": self.path.parent / "c.png"})

    def test_an_editor_may_have_saved_it_again(self):
        for encoding in ("utf-8-sig", "utf-16"):
            self.path.write_bytes(json.dumps({"cases": [CASE]}).encode(encoding))
            self.assertEqual(len(manifest.read(self.path)), 1, encoding)

    def test_no_cases_are_fine(self):
        self.path.write_text('{"cases": []}')
        self.assertEqual(manifest.read(self.path), [])

    def test_a_missing_manifest_is_named(self):
        with self.assertRaisesRegex(manifest.UsageError, "manifest.json: No such file"):
            manifest.read(self.path)

    def test_what_is_no_manifest_is_refused(self):
        self.assert_refused("{", "expected JSON")
        for text in ("[]", "{}", '{"cases": 3}'):
            self.assert_refused(text, "list `cases`")

    def test_a_wrong_case_is_refused_with_its_place_and_what_was_found(self):
        for changes, parts in (
            ({"name": 7}, ("string `name`", "found 7")),
            ({"person": 7}, ("string `person`", "found 7")),
            ({"first": None}, ("string `first`", "found null")),
            ({"seconds": ["c.png"]}, ("object `seconds`", "c.png")),
            ({"seconds": {"toy": 1}}, ("string `seconds.toy`", "found 1")),
        ):
            wrong = {**CASE, "name": "8", **changes}
            self.assert_refused(json.dumps({"cases": [CASE, wrong]}), "case 1", *parts)

    def test_two_cases_of_one_name_are_refused(self):
        self.assert_refused(json.dumps({"cases": [CASE, CASE]}), "`7` twice")


if __name__ == "__main__":
    unittest.main()
