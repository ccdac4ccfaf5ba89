"""Game heads: read, named, found, put upright, mended, refused with a reason, and made into a scene."""

import io
import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from head_studio import storage
from head_studio.imported import cast, mending, morphs, placement
from head_studio.imported.copy import write_copy
from head_studio.imported.figure import import_head, pose
from head_studio.imported.glb import read_glb
from head_studio.imported.parts import Part, read_parts
from head_studio.imported.roles import role_of_name
from head_studio.tests import game_head

HALF = 0.5 ** 0.5


class OnFiles(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(import_head.cache_clear)
        self.path = Path(folder.name) / "hero.glb"

    def refusal(self):
        with self.assertRaises(storage.UsageError) as caught:
            import_head(self.path)
        return str(caught.exception)

    def assert_in_place(self, head):
        """Eyes left and right at `EYES_M`, face towards +Z, body below."""
        left, right = (eye.centre_m for eye in head.eyes)
        self.assertTrue(np.allclose(left - right, [game_head.EYE_DISTANCE_M, 0, 0], atol=2e-3), (left, right))
        self.assertTrue(np.allclose((left + right) / 2, placement.EYES_M, atol=1e-3))
        skin = np.concatenate([part.positions for part in head.parts if part.role == "skin"])
        self.assertLess(skin[:, 1].mean(), placement.EYES_M[1])
        self.assertLess(skin[:, 2].mean(), placement.EYES_M[2])


class Reading(OnFiles):
    def test_parts_have_their_roles_and_the_head_its_place(self):
        game_head.write_head(self.path)
        head = import_head(self.path).head
        self.assertEqual([part.role for part in head.parts], ["skin", "eye", "eye", "teeth", "hair"])
        self.assertTrue(head.found_eyes)
        self.assert_in_place(head)

    def test_one_mesh_for_all_gives_its_eyeballs(self):
        game_head.write_head(self.path, one_mesh=True)
        head = import_head(self.path).head
        self.assertEqual([part.role for part in head.parts], ["skin", "eye"])
        self.assert_in_place(head)

    def test_a_head_in_centimetres_becomes_metres(self):
        game_head.write_head(self.path)
        game_head.put_under(self.path, scale=[100, 100, 100])
        head = import_head(self.path).head
        self.assertEqual(head.metres_per_unit, 0.01)
        self.assert_in_place(head)

    def test_a_head_of_no_known_unit_gets_peoples_size(self):
        game_head.write_head(self.path)
        game_head.put_under(self.path, scale=[5, 5, 5])
        self.assertAlmostEqual(import_head(self.path).head.eye_distance_m(), placement.EYE_DISTANCE_M, places=4)

    def test_a_head_on_its_back_stands_up_and_one_that_looks_away_turns(self):
        for rotation in ([-HALF, 0, 0, HALF], [HALF, 0, 0, HALF], [0, 1, 0, 0], [0, HALF, 0, HALF], [0, 0, HALF, HALF]):
            with self.subTest(rotation=rotation):
                import_head.cache_clear()
                game_head.write_head(self.path)
                game_head.put_under(self.path, rotation=rotation, translation=[4, -3, 2])
                self.assert_in_place(import_head(self.path).head)

    def test_painted_eyes_are_put_where_eyes_are(self):
        game_head.write_head(self.path)
        game_head.edit(self.path, lambda document: document["scenes"][0].update(nodes=[0]))
        head = import_head(self.path).head
        self.assertFalse(head.found_eyes)
        self.assertLess(abs(head.eye_distance_m() - game_head.EYE_DISTANCE_M), 0.012)
        skin = next(part for part in head.parts if part.role == "skin").positions
        self.assertAlmostEqual(skin[:, 1].max() - placement.EYES_M[1], 0.105, delta=0.02)

    def test_a_file_with_two_heads_asks_which_one(self):
        game_head.write_head(self.path)

        def change(document):
            first = list(document["scenes"][0]["nodes"])
            document["nodes"] += [dict(document["nodes"][index]) for index in first]
            second = list(range(len(document["nodes"]) - len(first), len(document["nodes"])))
            document["nodes"] += [{"name": "Hero", "children": first},
                                  {"name": "Rival", "children": second, "translation": [0.6, 0.1, 0]}]
            document["scenes"][0]["nodes"] = [len(document["nodes"]) - 2, len(document["nodes"]) - 1]

        game_head.edit(self.path, change)
        self.assertRegex(self.refusal(), r"4 eyeballs.*EyeLeft at .*\n  \[placement\]")
        toml = self.path.with_suffix(".toml")
        toml.write_text('[placement]\nnodes = ["Rival"]\n')
        head = import_head(self.path).head
        self.assertEqual([part.role for part in head.parts], ["skin", "eye", "eye", "teeth", "hair"])
        self.assert_in_place(head)
        import_head.cache_clear()
        toml.write_text('[placement]\nnodes = ["Nobody"]\n')
        self.assertRegex(self.refusal(), "no node 'Nobody'; found: .*Hero")

    def test_cameras_and_lamps_stay_out_of_the_copy(self):
        game_head.write_head(self.path)

        def change(document):
            document["cameras"] = [{"type": "perspective", "perspective": {"yfov": 1, "znear": 0.1}}]
            document["extensionsUsed"] = ["KHR_lights_punctual"]
            document["extensions"] = {"KHR_lights_punctual": {"lights": [{"type": "point"}]}}
            document["nodes"] += [{"camera": 0}, {"extensions": {"KHR_lights_punctual": {"light": 0}}}]
            document["scenes"][0]["nodes"] += [len(document["nodes"]) - 2, len(document["nodes"]) - 1]

        game_head.edit(self.path, change)
        imported = import_head(self.path)
        copy = self.path.with_name("copy.glb")
        write_copy(copy, pose(imported, {}, (0.0, 0.0)))
        written, _ = game_head.read_json(copy)
        self.assertEqual(len(written["nodes"]), 5)
        self.assertNotIn("cameras", written)
        self.assertNotIn("extensionsUsed", written)

    def test_skinned_parts_stand_as_their_bones_do(self):
        game_head.write_head(self.path)

        def change(document):
            document["nodes"] += [{"name": "mixamorig:Head", "translation": [0, 0, 5]}]
            document["skins"] = [{"joints": [len(document["nodes"]) - 1]}]
            count = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]["count"]
            document["accessors"] += [{"componentType": 5121, "count": count, "type": "VEC4"},
                                      {"componentType": 5126, "count": count, "type": "VEC4", "sparse": {
                                          "count": count, "indices": {"bufferView": len(document["bufferViews"]),
                                                                      "componentType": 5125},
                                          "values": {"bufferView": len(document["bufferViews"]) + 1}}}]
            content = np.arange(count, dtype="<u4").tobytes(), np.tile([1.0, 0, 0, 0], (count, 1)).astype("<f4").tobytes()
            self.added = b"".join(content)
            at = document["buffers"][0]["byteLength"]
            document["bufferViews"] += [{"buffer": 0, "byteOffset": at, "byteLength": len(content[0])},
                                        {"buffer": 0, "byteOffset": at + len(content[0]), "byteLength": len(content[1])}]
            document["buffers"][0]["byteLength"] += len(self.added)
            attributes = document["meshes"][0]["primitives"][0]["attributes"]
            attributes |= {"JOINTS_0": len(document["accessors"]) - 2, "WEIGHTS_0": len(document["accessors"]) - 1}
            document["nodes"][0]["skin"] = 0
            document["scenes"][0]["nodes"].append(len(document["nodes"]) - 1)

        before = read_parts(read_glb(self.path))[0]
        game_head.edit(self.path, change)
        document = read_glb(self.path)
        document.binary += self.added
        after = read_parts(document)[0]
        self.assertTrue(np.allclose(after.positions, before.positions + [0, 0, 5], atol=1e-5))
        self.assertTrue((after.on_head == 1).all())


class Refusing(OnFiles):
    def test_no_skin_is_an_error_that_a_toml_repairs(self):
        game_head.write_head(self.path, names={"Skin": "Material.001"})
        message = self.refusal()
        for part in ("Material.001", "EyeLeft", "hero.toml", "[roles]"):
            self.assertIn(part, message)
        self.path.with_suffix(".toml").write_text('[roles]\n"Material.001" = "skin"\n')
        self.assert_in_place(import_head(self.path).head)

    def test_a_toml_names_nodes_as_well(self):
        game_head.write_head(self.path, names={"Hair": "Part 7"})
        self.path.with_suffix(".toml").write_text('[roles]\n"Part 7" = "cloth"\n')
        self.assertEqual(import_head(self.path).head.parts[-1].role, "cloth")

    def test_a_toml_is_read_as_any_editor_saves_it(self):
        game_head.write_head(self.path, names={"Skin": "K\u00f6rper"})
        for encoding in ("utf-8-sig", "utf-16"):
            self.path.with_suffix(".toml").write_bytes('[roles]\r\n"K\u00f6rper" = "skin"\r\n'.encode(encoding))
            import_head.cache_clear()
            self.assert_in_place(import_head(self.path).head)

    def test_encoded_content_is_refused_with_the_command_that_decodes_it(self):
        for extension, command in (("EXT_meshopt_compression", "npx @gltf-transform/cli copy "),
                                   ("KHR_draco_mesh_compression", "npx @gltf-transform/cli copy "),
                                   ("EXT_texture_webp", "npx @gltf-transform/cli png "),
                                   ("KHR_texture_basisu", "npx @gltf-transform/cli ktxdecompress ")):
            game_head.write_head(self.path)
            game_head.edit(self.path, lambda document: document.update(extensionsUsed=[extension],
                                                                       extensionsRequired=[extension]))
            message = self.refusal()
            self.assertIn(extension, message)
            self.assertIn(f"{command}{self.path}", message)

    def test_a_file_that_is_no_glb_or_damaged_says_so(self):
        self.path.write_bytes(b"# a text, not a model, of some length")
        self.assertIn("b'glTF'", self.refusal())
        game_head.write_head(self.path)
        self.path.write_bytes(self.path.read_bytes()[:-4000])
        self.assertIn("outside the binary chunk", self.refusal())
        game_head.write_head(self.path)
        game_head.edit(self.path, lambda document: document["accessors"][0].update(count=10**7))
        self.assertIn("reaches beyond its buffer view", self.refusal())

    def test_a_toml_with_an_unknown_key_or_name_says_what_there_is(self):
        game_head.write_head(self.path)
        for text, expected in (("[placement]\nturn = 3\n", "rotate_deg"), ("[roles]\nHat = \"cloth\"\n", "EyeLeft"),
                               ("[roles]\nHair = \"fur\"\n", "glasses"), ("[morphs]\nx = \"jawOpen\"\n", "jaw_Open"),
                               ("[placement]\nmetres_per_unit = -1\n", "above 0"), ("a = [", "no readable TOML")):
            self.path.with_suffix(".toml").write_text(text)
            self.assertIn(expected, self.refusal())


class Posing(OnFiles):
    def test_expressions_move_what_the_file_has_and_say_so(self):
        game_head.write_head(self.path)
        imported = import_head(self.path)
        posed = pose(imported, {"jawOpen": 0.5, "mouthPucker": 0.3}, (10.0, 0.0))
        self.assertEqual(posed.expression, {"jawOpen": 0.5})
        offset = posed.positions[0] - posed.parts[0].positions
        self.assertAlmostEqual(offset[:, 1].min(), -0.01, places=5)
        self.assertTrue(np.allclose(np.linalg.norm(posed.normals[0], axis=1), 1))

    def test_a_gaze_turns_eyes_about_their_own_centres(self):
        game_head.write_head(self.path)
        imported = import_head(self.path)
        posed = pose(imported, {}, (20.0, 0.0))
        for part, positions in zip(posed.parts, posed.positions):
            if part.role == "eye":
                centre, radius = placement.fit_sphere(positions)
                self.assertTrue(np.allclose(centre, placement.fit_sphere(part.positions)[0], atol=1e-5))
                self.assertAlmostEqual(radius, 0.012, places=4)
                self.assertGreater(abs(positions - part.positions).max(), 0.003)

    def test_morph_targets_are_known_by_other_spellings(self):
        part = Part((), None, np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((0, 3), int))
        part.morphs = {name: np.zeros((1, 3)) for name in ("Head_eyeBlink_L", "jawOpen", "mouthSmile", "Fcl_unknown")}
        units = morphs.units_of_targets(self.path, [part], {})
        self.assertEqual(units, {"Head_eyeBlink_L": ("eyeBlinkLeft",), "jawOpen": ("jawOpen",),
                                 "mouthSmile": ("mouthSmileLeft", "mouthSmileRight")})
        self.assertEqual(morphs.target_weights(units, {"mouthSmileLeft": 0.8}), {"mouthSmile": 0.4})

    def test_occlusion_darkens_what_lies_inside_and_leaves_a_forehead_bright(self):
        game_head.write_head(self.path)
        imported = import_head(self.path)
        name_of = lambda material: imported.document.entries("materials")[material]["name"]
        grey = {name_of(material): np.asarray(Image.open(io.BytesIO(content)), float)[..., 0]
                for material, content in imported.occlusion.items()}
        self.assertLess(grey["Teeth"].mean(), 150)     # They lie in the head.
        self.assertGreater(grey["Skin"][300:380, 200:312].mean(), 160)

    def test_skin_and_cloth_of_one_atlas_are_told_apart(self):
        game_head.write_head(self.path, textured=True)
        regions = import_head(self.path).regions[0]
        self.assertGreater(regions.cloth[800:].mean(), 0.9)
        self.assertLess(regions.cloth[:500].mean(), 0.05)
        self.assertTrue(np.allclose(regions.face_colour_linear, game_head.SKIN_LINEAR, atol=0.02))


class Mending(unittest.TestCase):
    def quad(self, z=0.0, role="skin", x=0.0):
        corners = np.array([[0, 0, z], [0.1, 0, z], [0.1, 0.1, z], [0, 0.1, z]]) + [x, 0, 0]
        return Part((), None, corners, np.tile([0, 0, 1.0], (4, 1)), np.array([[0, 1, 2], [0, 2, 3]]),
                    corners[:, :2] * 10, role=role)

    def test_slivers_go_and_broken_normals_are_made(self):
        part = self.quad()
        part.triangles = np.concatenate([part.triangles, [[0, 0, 1]]])
        part.normals[2] = np.nan
        mended = mending.without_slivers(part)
        self.assertEqual(len(mended.triangles), 2)
        self.assertTrue(np.allclose(mended.normals, [0, 0, 1]))

    def test_a_crack_between_skin_and_cloth_closes_and_stays_closed(self):
        skin, cloth = self.quad(), self.quad(role="cloth", x=0.1005)
        skin.morphs = {"jawOpen": np.tile([0, -0.02, 0], (4, 1))}
        skin, cloth = mending.without_cracks([skin, cloth])
        self.assertTrue(np.allclose(skin.positions[[1, 2]], cloth.positions[[0, 3]]))
        self.assertTrue(np.allclose(skin.morphs["jawOpen"][[1, 2]], cloth.morphs["jawOpen"][[0, 3]]))
        self.assertTrue(np.allclose(skin.positions[[0, 3], 0], 0))

    def test_parts_that_are_farther_apart_stay_as_they_are(self):
        parts = [self.quad(), self.quad(role="cloth", x=0.102)]
        mended = mending.without_cracks(parts)
        for before, after in zip(parts, mended):
            self.assertTrue(np.array_equal(before.positions, after.positions))

    def test_mirrored_texture_halves_do_not_share_vertices(self):
        part = self.quad()
        part.uvs[3] = part.uvs[1]      # The second triangle is the first one's mirror image in the texture.
        split = mending.split_where_mirrored(part)
        self.assertEqual(len(split.positions), 6)
        self.assertFalse(set(split.triangles[0]) & set(split.triangles[1]))

    def test_names_tell_roles(self):
        for name, role in (("Wolf3D_Head", "skin"), ("EyeLeft", "eye"), ("Eyelashes", "lash"), ("h_L_gland", "other"),
                           ("Std_Cornea_L", "cornea"), ("Wolf3D_Glasses", "glasses"), ("HairCards.001", "hair"),
                           ("Face_00_SKIN", "skin"), ("FaceBrow_00_FACE", "brow"), ("Outfit_Top", "cloth"),
                           ("h_TeethUp", "teeth"), ("tongue", "mouth"), ("Material.001", None)):
            self.assertEqual(role_of_name(name), role, name)


class Casting(unittest.TestCase):
    def test_eight_heads_are_for_the_test_alone_all_x_among_them(self):
        heads = {split: names for split, (names, _) in cast.read_cast(cast.GAME_HEADS).items()}
        self.assertEqual({split: len(names) for split, names in heads.items()}, {"training": 18, "validation": 2, "test": 8})
        self.assertEqual([name for name in heads["training"] + heads["validation"] if name.startswith("X_")], [])
        others = [name.split("_") for name in heads["test"] if not name.startswith("X_")]
        self.assertEqual(len({group for group, *_ in others}), 3)
        self.assertEqual({sex for _, sex, _ in others}, {"F", "M"})

    def test_more_scenes_only_add_seeds(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a", "b"):
                (Path(folder) / f"{name}.glb").write_bytes(b"")
            few, more = (dict(cast.seeds_of_cast({"training": (["a", "b"], 500)}, "training", folder, scenes)[0])
                         for scenes in (2, 3))
            self.assertEqual({seed: file.stem for seed, file in few.items()}, {500: "a", 501: "b", 502: "a", 503: "b"})
            self.assertEqual({seed: more[seed] for seed in few}, few)
            with self.assertRaisesRegex(storage.UsageError, "missing"):
                cast.seeds_of_cast({"training": (["c"], 500)}, "training", folder, 1)


class Scenes(OnFiles):
    def test_a_head_is_the_same_in_both_unicode_forms_of_its_name(self):
        from head_studio.imported import scenes

        heads = [SimpleNamespace(path=Path(name), sha256="") for name in ("Zo\u00eb.glb", "elsewhere/Zoe\u0308.glb")]
        composed, decomposed = ((scenes.source_of(head.path), scenes.identity_of(head).number) for head in heads)
        self.assertEqual(composed, decomposed)

    def test_a_seed_becomes_a_finished_scene_that_names_its_source(self):
        from head_studio.imported import scenes

        game_head.write_head(self.path, textured=True)
        out = self.path.parent
        scenes.make_scene(out, 500_000, import_head(self.path), 48, 1, light_groups=True)
        self.assertTrue(scenes.is_made(out, 500_000, self.path, 48, 1, True))
        scene = json.loads((out / "00500000/scene.json").read_text())
        self.assertEqual((scene["source"], scene["split"]), ("game:hero", "training"))
        self.assertGreater(scene["identity"], 10**9 - 1)
        with self.assertRaisesRegex(storage.UsageError, "game:hero"):
            scenes.is_made(out, 500_000, self.path.with_name("other.glb"), 48, 1, True)


if __name__ == "__main__":
    unittest.main()
