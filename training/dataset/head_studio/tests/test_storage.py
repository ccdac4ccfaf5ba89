"""Storage: ranges, atomic files, and what counts as finished. Needs no Blender."""

import tempfile
import unittest
from pathlib import Path

from head_studio import storage


class SeedRanges(unittest.TestCase):
    def test_range_is_half_open_and_strided(self):
        self.assertEqual(list(storage.parse_seed_range("8..16", 4)), [8, 12])

    def test_bad_ranges_are_refused_with_what_was_found(self):
        for text in ("8", "8..", "a..b", "9..9", "9..3", "-1..4", "0..200000000"):
            with self.assertRaises(storage.UsageError, msg=text) as caught:
                storage.parse_seed_range(text)
            self.assertIn(text, str(caught.exception))

    def test_stride_below_one_is_refused(self):
        with self.assertRaises(storage.UsageError):
            storage.parse_seed_range("0..4", 0)


class Folders(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def test_output_that_is_a_file_is_refused(self):
        (self.folder / "taken").write_text("mine")
        with self.assertRaises(storage.UsageError):
            storage.output_folder(self.folder / "taken")
        self.assertEqual((self.folder / "taken").read_text(), "mine")

    def test_unfinished_until_the_manifest_is_written(self):
        storage.write_bytes(self.folder / "a.bin", b"content")
        self.assertFalse(storage.is_finished(self.folder, ["a.bin"]))
        storage.finish(self.folder, ["a.bin"])
        self.assertTrue(storage.is_finished(self.folder, ["a.bin"]))

    def test_changed_missing_or_unlisted_files_are_unfinished(self):
        storage.write_bytes(self.folder / "a.bin", b"content")
        storage.finish(self.folder, ["a.bin"])
        self.assertFalse(storage.is_finished(self.folder, ["a.bin", "b.bin"]))
        (self.folder / "a.bin").write_bytes(b"Content")
        self.assertFalse(storage.is_finished(self.folder, ["a.bin"]))
        (self.folder / "a.bin").unlink()
        self.assertFalse(storage.is_finished(self.folder, ["a.bin"]))

    def test_a_broken_manifest_is_unfinished(self):
        storage.write_bytes(self.folder / "a.bin", b"content")
        for text in ("", "{", "[]", '{"format": 1}', '{"format": 1, "files": {"a.bin": 3}}'):
            (self.folder / storage.MANIFEST).write_text(text)
            self.assertFalse(storage.is_finished(self.folder, ["a.bin"]), text)

    def test_a_manifest_that_an_editor_saved_again_is_still_one(self):
        storage.write_bytes(self.folder / "a.bin", b"content")
        storage.finish(self.folder, ["a.bin"])
        text = (self.folder / storage.MANIFEST).read_text()
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
            (self.folder / storage.MANIFEST).write_bytes(text.replace("\n", "\r\n").encode(encoding))
            self.assertTrue(storage.is_finished(self.folder, ["a.bin"]), encoding)

    def test_text_is_read_in_whichever_encoding_an_editor_writes(self):
        for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
            (self.folder / "hero.toml").write_bytes('name = "Zoë"'.encode(encoding))
            self.assertEqual(storage.read_text(self.folder / "hero.toml"), 'name = "Zoë"', encoding)

    def test_a_failed_write_leaves_the_old_file_and_no_rubbish(self):
        storage.write_bytes(self.folder / "a.bin", b"old")
        with self.assertRaises(RuntimeError), storage.replacing(self.folder / "a.bin") as path:
            path.write_bytes(b"half")
            raise RuntimeError
        self.assertEqual((self.folder / "a.bin").read_bytes(), b"old")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["a.bin"])

    def test_what_killed_writers_left_is_deleted_and_nothing_of_a_living_one_or_a_user(self):
        (self.folder / ".a.0123456789abcdef.part.bin").write_bytes(b"half")
        mine = [".a.part.bin", ".a.0123.part.bin", ".a.0123456789abcdef.part.txt", ".b.0123456789abcdef.part.bin"]
        for name in mine:
            (self.folder / name).write_bytes(b"mine")
        with storage.replacing(self.folder / "a.bin") as living:
            storage.write_bytes(self.folder / "a.bin", b"content")
            self.assertEqual({p.name for p in self.folder.iterdir()}, {*mine, living.name, "a.bin"})

    def test_seeds_are_claimed_once_and_other_seeds_beside_them(self):
        with storage.claim(self.folder, range(0, 20, 4)), storage.claim(self.folder, range(1, 20, 4)):
            for seeds in (range(0, 20, 4), range(16, 18), storage.ALL_SEEDS):
                with self.assertRaises(storage.UsageError) as caught, storage.claim(self.folder, seeds):
                    pass
                self.assertRegex(str(caught.exception), f"{self.folder}: .*seeds [01]..20 with --stride 4.* of its own")
        with storage.claim(self.folder, storage.ALL_SEEDS):
            pass


if __name__ == "__main__":
    unittest.main()
