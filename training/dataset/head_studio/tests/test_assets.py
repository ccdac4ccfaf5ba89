"""Asset packs: what is there, what is missing, what is broken. The packs are made here, small. Needs no Blender."""

import base64
import hashlib
import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from head_studio import assets, cards, eyes, photo_skin, skin_tone
from head_studio.identity import draw_identity
from head_studio.look import KEPT_SKINS, draw_look
from head_studio.storage import UsageError
from head_studio.variation import KEPT_SURROUNDINGS, SPLITS, surroundings_of

CARD = """verts 0
x_scale 0 1 2.0
y_scale 0 1 2.0
z_scale 0 1 2.0
obj_file card.obj
  0 1 2 0.5 0.25 0.25 0.0 0.0 0.1
1
2
delete_verts
7 - 9
"""
OBJECT = "v 0 0 0\nv 0 0 0\nv 0 0 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"


class Packs(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)

    def add(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with open(self.folder / assets.SUMS, "a") as sums:
            sums.write(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n")
        return path

    def test_packs_that_are_absent_are_named_with_what_is_made_instead(self):
        self.add("hdri/room.hdr", b"light")
        found = assets.open_assets([self.folder])
        self.assertEqual(found.names("surroundings"), ["room"])
        missing = " ".join(found.missing())
        for word in ("skins", "hair cards", "procedural irises", assets.NPM_PACKAGE):
            self.assertIn(word, missing)
        self.assertNotIn("hdri", missing)

    def test_a_changed_file_is_refused_by_name(self):
        path = self.add("hdri/room.hdr", b"light")
        path.write_bytes(b"other")
        with self.assertRaises(UsageError) as caught:
            assets.open_assets([self.folder])
        self.assertRegex(str(caught.exception), "room.hdr.*SHA-256.*get the file again")

    def test_a_folder_of_something_else_is_refused(self):
        with self.assertRaises(UsageError) as caught:
            assets.open_assets([self.folder])
        self.assertRegex(str(caught.exception), "neither SHA256SUMS nor node_modules.*README")

    def test_the_npm_package_of_another_version_is_refused(self):
        package = self.folder / assets.NPM_PACKAGE
        (package / "hdri").mkdir(parents=True)
        (package / "package.json").write_text(json.dumps({"version": "1.0.0"}))
        with self.assertRaises(UsageError) as caught:
            assets.open_assets([self.folder])
        self.assertRegex(str(caught.exception), "1.0.0.*1.7.0.*npm install")

    def test_the_npm_package_gives_the_bytes_of_its_files(self):
        package = self.folder / assets.NPM_PACKAGE
        (package / "hdri").mkdir(parents=True)
        (package / "package.json").write_text(json.dumps({"version": assets.NPM_VERSION}))
        text = "export default 'data:application/exr;base64," + base64.b64encode(b"picture").decode() + "';"
        (package / "hdri/lake.exr.js").write_text(text)
        found = assets.open_assets([self.folder])
        self.assertEqual(assets.npm_exr(found.path("npm surroundings", "lake")), b"picture")
        recorded = found.record([("npm surroundings", "lake")])
        self.assertEqual(list(recorded.values()), [hashlib.sha256(text.encode()).hexdigest()])

    def test_a_card_is_where_its_three_vertices_and_its_offset_say(self):
        picture = np.zeros((8, 8, 4), np.uint8)
        picture[2:6, 2:6] = [90, 60, 40, 255]
        self.add("card.obj", OBJECT.encode())
        Image.fromarray(picture).save(self.folder / "card.png")
        path = self.add("card.mhclo", CARD.encode())
        base = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])
        card = cards.fit_cards(path, "Brows", "brow", base)
        np.testing.assert_allclose(card.positions[0], [0.1, 0.1, 0.0], atol=1e-9)
        np.testing.assert_allclose(card.positions[1:], base[1:] * 0.1)
        self.assertEqual(card.triangles.tolist(), [[0, 1, 2]])
        self.assertAlmostEqual(float(card.pattern[card.alpha > 0.9].mean()), 1.0, places=2)

    def test_validation_and_test_have_skins_and_surroundings_of_their_own(self):
        names = [name for kept in KEPT_SKINS.values() for name in kept]
        names += ["young_lightskinned_male2", "middleage_darkskinned_male"]
        for name in names:
            self.add(f"makehuman/skins/textures/{name}_diffuse.png", name.encode())
        found = assets.open_assets([self.folder])
        seen = {name: set() for name, *_ in SPLITS}
        packs = [*(name for kept in KEPT_SURROUNDINGS.values() for name in kept), "anywhere"]
        for split, first, *_ in SPLITS:
            for number in range(first // 8, first // 8 + 60):
                seen[split] |= {name for pack, name in draw_look(draw_identity(number), found).used if pack == "skins"}
        self.assertEqual(sum(map(len, seen.values())), len(set.union(*seen.values())))
        surroundings = [set(surroundings_of(split, packs)) for split, *_ in SPLITS]
        self.assertEqual(sum(map(len, surroundings)), len(set.union(*surroundings)))
        self.assertIn("anywhere", surroundings[0])


class Irises(unittest.TestCase):
    def test_a_pictures_iris_keeps_its_drawing_and_gets_the_palettes_colour(self):
        width = 1000
        y, x = np.mgrid[0:width, 0:width] + 0.5
        out = np.hypot(x - eyes.PHOTO_EYE_MIDDLE[0] * width, y - eyes.PHOTO_EYE_MIDDLE[1] * width) / (eyes.PHOTO_IRIS_RADIUS * width)
        wine = np.array([90, 12, 6]) * (1 + 0.5 * np.sin(40 * out))[..., None]
        picture = np.where(out[..., None] < 0.4, 0, np.where(out[..., None] < 1, wine, 235)).astype(np.uint8)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "brown_eye.png"
            Image.fromarray(picture).save(path)
            albedo = eyes.photo_eye_albedo(path, "brown", 256)
        y, x = (np.mgrid[0:256, 0:256] + 0.5) / 128 - 1
        out = np.hypot(x, y) / (0.98 * eyes.IRIS_RADIUS)
        iris = albedo[(out > 0.45) & (out < 0.85)]
        wanted = np.mean(eyes.PALETTE["brown"], 0)
        np.testing.assert_allclose(iris.mean(0) / iris.mean(), wanted / wanted.mean(), rtol=0.02)
        self.assertTrue(0.8 < iris.mean() / wanted.mean() < 1.25)
        self.assertGreater(iris[:, 0].std() / iris[:, 0].mean(), 0.2)
        self.assertLess(albedo[out < 0.3].max(), 0.02)
        np.testing.assert_allclose(albedo[(out > 1.5) & (out < 1.9)].mean(0), 1.25 * eyes.SCLERA_LINEAR, rtol=0.1)


class Skin(unittest.TestCase):
    def test_cielab_and_linear_colours_are_each_others_inverse(self):
        colours = np.random.default_rng(0).uniform(0.01, 0.9, (50, 3))
        np.testing.assert_allclose(skin_tone.linear_of(skin_tone.lab_of(colours)), colours, atol=1e-6)

    def test_tones_have_the_hues_and_chromas_of_people(self):
        draw = np.random.default_rng(1)
        tones = np.array([skin_tone.lab_of(skin_tone.draw_tone(draw.uniform(0.02, 2.2), draw)) for _ in range(500)])
        hues, chroma = skin_tone.hue_deg(tones), np.hypot(tones[:, 1], tones[:, 2])
        self.assertTrue(35 < hues.min() and hues.max() < 62 and 45 < hues.mean() < 51)
        self.assertTrue(6 < chroma.min() and chroma.max() < 22)
        self.assertTrue(25 < tones[:, 0].min() and tones[:, 0].max() < 76)

    def test_a_photographed_skin_gets_the_mean_that_is_asked_for_and_keeps_its_detail(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "skin.png"
            draw = np.random.default_rng(2)
            values = 150 + 40 * np.linspace(0, 1, 256)[:, None, None] + draw.normal(0, 8, (256, 256, 1)) + [30, 0, -20]
            values = values.clip(0, 255)
            Image.fromarray(values.astype(np.uint8)).save(path)
            rest = np.stack([draw.uniform(-0.5, 0.5, 4000), draw.uniform(6.4, 7.8, 4000), np.full(4000, 1.5)], 1)
            base_uv = np.stack([0.75 + 0.1 * rest[:, 0], 0.3 + 0.2 * (rest[:, 1] - 6.4)], 1)
            lips, tone = np.zeros(4000), np.array([0.3, 0.2, 0.14])
            albedo, detail = photo_skin.photo_albedo((path, path), 0.5, 1.0, tone, rest, base_uv, draw, lips)
            weight = photo_skin.face_weight(rest, lips)
            np.testing.assert_allclose(weight @ albedo / weight.sum(), tone, rtol=1e-6)
            self.assertGreater(np.corrcoef(np.log(albedo[:, 1]), detail)[0, 1], 0.5)


if __name__ == "__main__":
    unittest.main()
