"""A character of one's own: its TOML, its light, what is made anew, and references that come from elsewhere."""

import io
import json
import tempfile
import tomllib
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from head_studio import reference, storage
from head_studio.__main__ import main
from head_studio.exr import read_exr, write_exr
from head_studio.imported import elsewhere, scenes
from head_studio.imported.copy import write_copy
from head_studio.imported.figure import import_head, pose
from head_studio.imported.glb import read_glb
from head_studio.imported.settings import Settings, read_settings
from head_studio.imported.template import write_unless_there
from head_studio.sheet import write_sheet
from head_studio.tests import game_head
from head_studio.variation import Choice, draw_variation

SIZE_PX = 32
CAMERA = {"position": [0.0, 1.6, 1.0], "rotation_xyzw": [0.0, 0.0, 0.0, 1.0], "fov_y_rad": 0.4, "near_m": 0.05}


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(import_head.cache_clear)
        self.folder = Path(folder.name)
        self.glb, self.toml = self.folder / "hero.glb", self.folder / "out" / "hero.toml"

    def refusal(self, work, *arguments):
        with self.assertRaises(storage.UsageError) as caught:
            work(*arguments)
        return str(caught.exception)


class Template(InFolder):
    def test_the_template_says_every_default_and_what_was_found(self):
        game_head.write_head(self.glb)
        self.assertTrue(write_unless_there(self.glb, self.toml))
        self.assertEqual(read_settings(self.toml), Settings())
        text = self.toml.read_text()
        for line in ('# "Skin" = "skin"', '# "Hair" = "hair"', '# "jaw_Open" = "jawOpen"', "scattering_m = 0.002",
                     "# rotate_deg = [0.0, 0.0, 0.0]", "kinds = []"):
            self.assertIn(line, text)

    def test_the_toml_beside_the_file_is_taken_over_and_an_existing_one_is_left_alone(self):
        game_head.write_head(self.glb, names={"Skin": "Material.001"})
        beside = ('[roles]\n"Material.001" = "skin"\n[placement]\nrotate_deg = [0, 90, 0]\n[eyes]\nwetness = 0.5\n'
                  '[lights]\nkinds = ["sun"]\n')
        self.glb.with_suffix(".toml").write_text(beside)
        self.assertTrue(write_unless_there(self.glb, self.toml))
        self.assertEqual(read_settings(self.toml), read_settings(self.glb.with_suffix(".toml")))
        self.toml.write_text("[hair]\nroughness = 0.1\n")
        self.assertFalse(write_unless_there(self.glb, self.toml))
        self.assertEqual(self.toml.read_text(), "[hair]\nroughness = 0.1\n")

    def test_a_file_without_skin_leaves_a_toml_to_say_which_it_is_and_is_refused_with_its_place(self):
        game_head.write_head(self.glb, names={"Skin": "Material.001"})
        self.assertTrue(write_unless_there(self.glb, self.toml))
        self.assertIn('# "Material.001" = "other"', self.toml.read_text())
        message = self.refusal(import_head, self.glb, self.toml)
        for part in (str(self.glb), str(self.toml), "Material.001", "[roles]"):
            self.assertIn(part, message)
        self.toml.write_text(self.toml.read_text().replace('# "Material.001" = "other"', '"Material.001" = "skin"'))
        self.assertIn("skin", {part.role for part in import_head(self.glb, self.toml).head.parts})

    def test_a_file_that_cannot_be_read_leaves_no_toml(self):
        self.assertIn("cannot be read", self.refusal(write_unless_there, self.glb, self.toml))
        self.glb.write_bytes(b"no model at all, and long enough")
        self.assertIn("expected a binary glTF file", self.refusal(write_unless_there, self.glb, self.toml))
        self.assertFalse(self.toml.exists())

    def test_values_out_of_range_say_what_was_expected_and_found(self):
        toml = self.folder / "look.toml"
        for text, expected in (("[skin]\nscattering = 1.5\n", "skin.scattering is 1.5; expected a number from 0 to 1"),
                               ("[skin]\nroughness = true\n", "skin.roughness is True; expected a number from 0.2 to 5"),
                               ("[skin]\nscattering_m = 0\n", "above 0"), ("[eyes]\nwetness = \"very\"\n", "'very'; expected a number"),
                               ("[hair]\ncurls = 1\n", "[hair] has no key 'curls'; expected anisotropy"),
                               ("[lights]\nkinds = [\"moon\"]\n", "lights.kinds has 'moon'; expected any of studio"),
                               ("[lights]\ntone_mappings = \"agx\"\n", "expected a list of names"),
                               ("[lights]\nsurroundings = [\"no.hdr\"]\n", "no.hdr cannot be read"),
                               ("[light]\n", "[tables] has no key 'light'"), ("[skin\n", "no readable TOML")):
            with self.subTest(text=text):
                toml.write_text(text)
                message = self.refusal(read_settings, toml)
                self.assertIn(expected, message)
                self.assertIn(str(toml), message)


class Light(InFolder):
    def test_a_choice_narrows_light_and_display_and_none_changes_nothing(self):
        seeds = range(700_000, 700_040)
        choice = Choice(kinds=("sun", "point"), tone_mappings=("agx",))
        drawn = [draw_variation(seed, (), choice) for seed in seeds]
        self.assertEqual({one.light_kind for one in drawn}, {"sun", "point"})
        self.assertEqual({one.rendering.tone_mapping for one in drawn}, {"agx"})
        self.assertEqual([draw_variation(seed, (), Choice()) for seed in seeds], [draw_variation(seed) for seed in seeds])

    def test_own_surroundings_light_training_and_nothing_that_is_measured(self):
        choice = Choice(kinds=("studio",), surroundings=("own_1", "own_2"))
        names = lambda first: {draw_variation(seed, (), choice).environment for seed in range(first, first + 30)}
        self.assertEqual(names(700_000), {"own_1", "own_2"})
        self.assertEqual(names(980_000) & {"own_1", "own_2"}, set())
        self.assertEqual(names(1_980_000), {"studio", "sunset"})

    def test_surroundings_are_named_by_their_content(self):
        picture, toml = self.folder / "yard.exr", self.folder / "look.toml"
        toml.write_text('[lights]\nsurroundings = ["yard.exr"]\n')
        names = []
        for level in (0.25, 0.5):
            write_exr(picture, np.full((4, 8, 3), level, np.float32))
            names += read_settings(toml).lights.surroundings
        self.assertEqual(len(set(names)), 2)

    def test_surroundings_of_another_shape_are_refused(self):
        from head_studio import library

        picture = self.folder / "square.exr"
        write_exr(picture, np.ones((8, 8, 3), np.float32))
        message = self.refusal(lambda: library.environment_file(self.folder, "own_1", own={"own_1": str(picture)}))
        self.assertIn("8 x 8 pixels; expected equirectangular surroundings, twice as wide as high", message)


class WithScenes(InFolder):
    """Two finished scenes as `import` leaves them, whose reference is a disk in the middle."""

    def setUp(self):
        super().setUp()
        game_head.write_head(self.glb)
        self.imported = import_head(self.glb)
        self.data, self.images = self.folder / "scenes", self.folder / "images"
        self.images.mkdir()
        (self.data / "environments").mkdir(parents=True)
        write_exr(self.data / "environments/studio.exr", np.ones((4, 8, 3), np.float32))
        for seed in (700_000, 700_001):
            self.make(seed)

    def made_of(self):
        return scenes.made_of(storage.fingerprint(self.glb)["sha256"], read_settings(self.glb.with_suffix(".toml")))

    @staticmethod
    def disk(shift_px=0.0, brightness=1.0):
        y, x = np.mgrid[:SIZE_PX, :SIZE_PX] - (SIZE_PX - 1) / 2
        inside = ((x - shift_px) ** 2 + y ** 2 < 10 ** 2).astype(np.float32)
        return np.stack([brightness * level * inside for level in (0.6, 0.4, 0.3)] + [inside], 2)

    def make(self, seed):
        folder = self.data / f"{seed:08d}"
        folder.mkdir()
        write_copy(folder / "scene.glb", pose(self.imported, {}, (0.0, 0.0)))
        write_exr(folder / "reference.exr", self.disk())
        Image.fromarray(np.zeros((SIZE_PX, SIZE_PX), np.uint8)).save(folder / "mask.png")
        storage.write_json(folder / "scene.json", {
            "source": scenes.source_of(self.glb), "made_of": self.made_of(), "size_px": SIZE_PX, "samples": 4,
            "cycles": reference.cycles_settings(4, seed), "split": "training", "camera": CAMERA, "lights": [], "expression": {},
            "gaze_deg": [0.0, 0.0],
            "environment": {"file": "environments/studio.exr", "rotation_deg": 0.0, "strength": 1.0},
            "background": {"kind": "gradient", "bottom_linear": [0.1] * 3, "top_linear": [0.2] * 3},
            "rendering": {"exposure_ev": 0.0}})
        storage.finish(folder, scenes.pairs.FILES)

    def bring(self, **of_first):
        write_exr(self.images / "00700000.exr", self.disk(**of_first))
        write_exr(self.images / "00700001.exr", self.disk(brightness=1.2))


class Anew(WithScenes):
    def test_a_scene_is_current_until_its_file_its_settings_or_its_options_change(self):
        current = lambda *options: scenes.is_current(self.data, 700_000, self.glb, self.made_of(), *options)
        self.assertTrue(current(SIZE_PX, 4, False))
        self.assertFalse(current(SIZE_PX, 8, False))
        self.assertFalse(current(SIZE_PX, 4, True))
        toml = self.glb.with_suffix(".toml")
        toml.write_text("# A comment changes nothing.\n[eyes]\nwetness = 1.0\n")
        self.assertTrue(current(SIZE_PX, 4, False))
        toml.write_text("[eyes]\nwetness = 0.9\n")
        self.assertFalse(current(SIZE_PX, 4, False))
        toml.unlink()
        game_head.edit(self.glb, lambda document: document["asset"].update(copyright="somebody"))
        self.assertFalse(current(SIZE_PX, 4, False))

    def test_a_scene_whose_reference_was_traced_in_another_way_is_not_current(self):
        path = self.data / "00700000/scene.json"
        scene = json.loads(path.read_text())
        del scene["cycles"]["supersampling"]
        storage.write_json(path, scene)
        storage.finish(path.parent, scenes.pairs.FILES)
        self.assertFalse(scenes.is_current(self.data, 700_000, self.glb, self.made_of(), SIZE_PX, 4, False))
        message = self.refusal(scenes.is_made, self.data, 700_000, self.glb, SIZE_PX, 4, False)
        self.assertIn("other settings of Cycles", message)
        self.assertTrue(scenes.is_made(self.data, 700_001, self.glb, SIZE_PX, 4, False))

    def test_a_scene_of_another_head_is_never_made_again(self):
        other = self.folder / "villain.glb"
        message = self.refusal(scenes.is_current, self.data, 700_000, other, self.made_of(), SIZE_PX, 4, False)
        self.assertIn("game:hero", message)


class Elsewhere(WithScenes):
    def test_cameras_are_written_beside_the_head_that_they_see(self):
        out = self.folder / "cameras"
        out.mkdir()
        self.assertEqual(elsewhere.export_cameras(self.data, out), 2)
        entries = json.loads((out / "cameras.json").read_text())
        self.assertEqual([entry["image"] for entry in entries], ["00700000.exr", "00700001.exr"])
        self.assertEqual(entries[0]["camera"], CAMERA)
        document = read_glb(out / entries[0]["scene"])
        self.assertAlmostEqual(document.json["cameras"][0]["perspective"]["yfov"], 0.4)
        self.assertEqual(document.json["nodes"][-1]["translation"], CAMERA["position"])
        self.assertIn(len(document.json["nodes"]) - 1, document.json["scenes"][0]["nodes"])
        before, after = read_glb(self.data / "00700000/scene.glb"), document
        self.assertTrue(np.array_equal(before.accessor(0), after.accessor(0)))

    def test_references_that_fit_become_scenes_and_what_has_not_changed_is_kept(self):
        out = self.folder / "taken"
        out.mkdir()
        self.bring(brightness=1.5)
        self.assertEqual(elsewhere.take(self.images, self.data, out), 2)
        folders = [out / "00700000", out / "00700001"]
        self.assertTrue(all(storage.is_finished(folder, scenes.pairs.FILES) for folder in folders))
        self.assertAlmostEqual(read_exr(folders[0] / "reference.exr")["R"].max(), 0.9, places=2)
        self.assertTrue((out / "environments/studio.exr").is_file())
        before = [(folder / "done.json").stat().st_mtime_ns for folder in folders]
        self.bring(brightness=1.6)
        elsewhere.take(self.images, self.data, out)
        after = [(folder / "done.json").stat().st_mtime_ns for folder in folders]
        self.assertEqual([old == new for old, new in zip(before, after)], [False, True])

    def test_references_that_do_not_fit_are_refused_by_name_and_none_is_taken(self):
        out = self.folder / "taken"
        out.mkdir()
        self.bring(shift_px=6)
        message = self.refusal(elsewhere.take, self.images, self.data, out)
        self.assertIn("1 of 2 references cannot be taken", message)
        self.assertRegex(message, r"00700000\.exr: its silhouette overlaps .* expected 0\.9 or more; it lies 6 px right and 0 px")
        self.assertEqual(list(out.iterdir()), [])
        self.bring(brightness=3.0)
        self.assertIn("3.00 times as bright", self.refusal(elsewhere.take, self.images, self.data, out))
        self.bring()
        write_exr(self.images / "00700000.exr", self.disk()[..., :3])
        self.assertIn("no channel A, but B, G, R", self.refusal(elsewhere.take, self.images, self.data, out))
        write_exr(self.images / "00700000.exr", self.disk()[:16])
        self.assertIn("32 x 16 pixels; expected 32 x 32", self.refusal(elsewhere.take, self.images, self.data, out))
        (self.images / "00700000.exr").rename(self.images / "00700000.png")
        self.assertIn("missing, but there is 00700000.png", self.refusal(elsewhere.take, self.images, self.data, out))

    def test_a_folder_without_scenes_says_what_to_do_first(self):
        self.assertIn("export cameras first", self.refusal(elsewhere.take, self.images, self.folder / "none", self.folder))

    def test_the_sheet_shows_every_reference_over_its_background(self):
        picture = self.folder / "look.png"
        write_sheet(self.data, picture)
        sheet = np.asarray(Image.open(picture))
        self.assertEqual(sheet.shape, (SIZE_PX, 2 * SIZE_PX, 3))
        middle, corner = sheet[SIZE_PX // 2, SIZE_PX // 2], sheet[0, 0]
        self.assertGreater(middle[0], middle[2])
        self.assertEqual(len(set(corner)), 1)
        self.assertTrue(np.array_equal(sheet[:, :SIZE_PX], sheet[:, SIZE_PX:]))


class CommandLine(WithScenes):
    def run_line(self, *line):
        """Exit status, and what was printed."""
        printed = io.StringIO()
        with mock.patch("sys.argv", ["head_studio", *map(str, line)]), redirect_stderr(printed), redirect_stdout(printed):
            return main(), printed.getvalue()

    def test_a_finished_set_is_kept_without_a_look_at_the_head(self):
        line = ("import", self.glb, "--seeds", "700000..700002", "--settings", self.toml, "--anew", "--size", SIZE_PX,
                "--samples", 4, "--out", self.data)
        status, printed = self.run_line(*line)
        self.assertEqual((status, "--settings" in printed), (2, True), "there is no such TOML")
        self.toml.parent.mkdir()
        self.toml.write_text("")
        import_head.cache_clear()
        status, printed = self.run_line(*line)
        self.assertEqual((status, "2 seeds, 2 already finished" in printed), (0, True), printed)
        self.assertEqual(import_head.cache_info().currsize, 0)

    def test_what_is_wrong_is_said_in_a_line_and_the_status(self):
        for line, expected in ((("settings", self.folder / "none.glb", "--out", self.toml), "none.glb: cannot be read"),
                               (("take", self.images, "--data", self.folder / "none", "--out", self.folder / "x"), "export cameras"),
                               (("sheet", "--data", self.images, "--out", "look.png"), "no finished scene")):
            status, printed = self.run_line(*line)
            self.assertEqual(status, 2)
            self.assertIn(expected, printed)
            self.assertEqual(printed.count("Traceback"), 0)

    def test_settings_are_written_once_and_what_was_found_is_said(self):
        for there in (False, True):
            status, printed = self.run_line("settings", self.glb, "--out", self.toml)
            self.assertEqual((status, "written" in printed), (0, not there))
            self.assertIn("eyes found; 1 morph targets understood", printed)


class Text(unittest.TestCase):
    def test_any_name_survives_the_template(self):
        from head_studio.imported.template import _lines

        told = {'K\u00f6r"per\\': "skin", "a = b # c\n": "cloth"}
        self.assertEqual(tomllib.loads(_lines(told, {"x": "hair"})), told)


if __name__ == "__main__":
    unittest.main()
