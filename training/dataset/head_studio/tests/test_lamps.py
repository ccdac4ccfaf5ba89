"""A game's own lamps: read from glTF, put about the head, exposed, drawn as kinds of light, and refused with a reason."""

import json
import math
import struct
import unittest

import numpy as np

from head_studio import blender, lighting, pairs
from head_studio.imported import lamps, placement, scenes
from head_studio.imported.figure import import_head
from head_studio.imported.settings import Settings, read_settings
from head_studio.imported.template import write_unless_there
from head_studio.tests import game_head
from head_studio.tests.test_character import InFolder
from head_studio.variation import LIGHT, Choice, draw_variation

HALF = 0.5 ** 0.5
AHEAD_M = 2.0                  # from the face
EYES = np.array([0.0, 1.6, 0.085])        # of `game_head`, in the space of its file
SUN = {"type": "directional", "intensity": 3.0, "color": [1.0, 0.5, 0.25]}
POINT = {"type": "point", "intensity": 40.0}
SPOT = {"type": "spot", "intensity": 90.0, "spot": {"innerConeAngle": 0.2, "outerConeAngle": 0.5}}
TRAINING = range(700_000, 700_060)


def gltf(entries, nodes):
    """The JSON of a file with these lamps, each at a node of its own with this transform."""
    extension = "KHR_lights_punctual"
    listed = [{"name": f"lamp {k}", "extensions": {extension: {"light": k}}} | node for k, node in enumerate(nodes)]
    return {"asset": {"version": "2.0"}, "extensionsUsed": [extension], "extensions": {extension: {"lights": entries}},
            "scene": 0, "scenes": [{"nodes": list(range(len(listed)))}], "nodes": listed}


def write_gltf(path, entries, nodes):
    path.write_text(json.dumps(gltf(entries, nodes)))


def write_glb(path, entries, nodes):
    text = json.dumps(gltf(entries, nodes)).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text)


def at(*place):
    return {"translation": list(place)}


class WithLamps(InFolder):
    """A head, and a TOML beside it that names the file of its lamps."""

    def setUp(self):
        super().setUp()
        game_head.write_head(self.glb)
        self.lamps, self.beside = self.folder / "street.glb", self.glb.with_suffix(".toml")
        self.beside.write_text('[lights]\nlamps = "street.glb"\n')

    def placed(self, entries, nodes):
        """The lamps of such a file about the head."""
        write_glb(self.lamps, entries, nodes)
        import_head.cache_clear()
        return import_head(self.glb).lamps["lamps:street"]


class Reading(WithLamps):
    def test_every_kind_is_read_with_its_node_s_place_and_turn_and_gltf_s_defaults(self):
        # A turn about +X by 90 degrees lets what shines along -Z shine along +Y.
        nodes = [{"rotation": [HALF, 0, 0, HALF]}, at(1, 2, 3), at(0, 1.6, AHEAD_M), {}]
        for write, name in ((write_glb, "a.glb"), (write_gltf, "a.gltf")):
            with self.subTest(name=name):
                path = self.folder / name
                write(path, [SUN, POINT, SPOT, {"type": "spot"}], nodes)
                sun, point, spot, plain = lamps.read_lamps(path)
                self.assertTrue(np.allclose(sun.direction, [0, 1, 0]))
                # The luminance of the colour goes into the strength.
                luminance = np.array(SUN["color"]) @ lighting.LUMINANCE
                self.assertAlmostEqual(sun.intensity, 3.0 * luminance)
                self.assertTrue(np.allclose(np.array(sun.colour_linear) * luminance, SUN["color"]))
                self.assertEqual((point.intensity, point.colour_linear, point.range), (40.0, (1.0,) * 3, math.inf))
                self.assertTrue(np.allclose(point.position, [1, 2, 3]))
                self.assertEqual((spot.inner_angle_rad, spot.outer_angle_rad), (0.2, 0.5))
                self.assertEqual((plain.intensity, plain.inner_angle_rad, plain.outer_angle_rad), (1.0, 0.0, math.pi / 4))

    def test_lamps_below_other_nodes_stand_and_shine_as_those_say_and_a_scale_is_no_light(self):
        write_gltf(self.lamps, [SPOT], [at(0, 0, 1)])
        document = json.loads(self.lamps.read_text())
        # Half a turn about +Y, and twice the size.
        document["nodes"].append({"children": [0], "rotation": [0, 1, 0, 0], "scale": [2, 2, 2], "translation": [0, 1, 0]})
        document["scenes"] = [{"nodes": [1]}]
        self.lamps.write_text(json.dumps(document))
        spot, = lamps.read_lamps(self.lamps)
        self.assertTrue(np.allclose(spot.position, [0, 1, -2]))
        self.assertTrue(np.allclose(spot.direction, [0, 0, 1]))
        self.assertEqual(spot.intensity, 90.0)

    def test_what_needs_a_decoder_in_a_level_is_no_concern_of_its_lamps(self):
        document = gltf([POINT], [at(0, 2, 1)]) | {"extensionsRequired": ["KHR_draco_mesh_compression"], "buffers": [{"uri": "no.bin"}]}
        path = self.folder / "level.gltf"
        path.write_text(json.dumps(document))
        self.assertEqual(len(lamps.read_lamps(path)), 1)

    def test_files_that_light_nothing_say_what_is_wrong_and_what_was_expected(self):
        here = [at(0, 1.6, AHEAD_M)]
        for entries, nodes, expected in (
                ([POINT | {"intensity": 0}], here, "lamp 'lamp 0': intensity is 0; expected candela above 0"),
                ([SUN | {"intensity": -1}], here, "intensity is -1; expected lux above 0"),
                ([POINT | {"color": [0, 0, 0]}], here, "color is [0, 0, 0]; expected three numbers of 0 or more, not all 0"),
                ([POINT | {"range": 0}], here, "range is 0; expected a number above 0"),
                ([{"type": "area"}], here, "type is 'area'; expected any of directional, point, spot"),
                ([SPOT | {"spot": {"outerConeAngle": 2.0}}], here, "outerConeAngle is 2.0; expected 0.001 to pi / 2"),
                ([SPOT | {"spot": {"innerConeAngle": 1.0}}], here, "innerConeAngle is 1.0; expected 0 to outerConeAngle"),
                ([POINT], [{"scale": [0, 0, 0]}], "no place or direction"),
                ([POINT] * 11, here * 11, "has 11 lamps; expected 1 to 10"),
                ([], [], "has no lamps in its default scene; expected 1 to 10"),
                ([], here, "is no valid glTF: IndexError"),
                ([POINT | {"range": 1.0}], here, "none of its lamps reaches the face"),
                ([SPOT], [here[0] | {"rotation": [0, 1, 0, 0]}], "none of its lamps reaches the face"),
                ([POINT], [at(0, 1.6, 0.1)], "lamp 'lamp 0' stands in the head")):
            with self.subTest(expected=expected):
                write_glb(self.lamps, entries, nodes)
                import_head.cache_clear()
                message = self.refusal(import_head, self.glb)
                self.assertIn(expected, message)
                self.assertIn(str(self.lamps), message)

    def test_missing_files_and_files_of_another_kind_are_named(self):
        message = self.refusal(read_settings, self.beside)
        self.assertRegex(message, r"lights\.lamps: .*street\.glb cannot be read: No such file.*\.glb or \.gltf")
        for content in (b"\x89PNG and more than twenty bytes", b"[1, 2]", b'{"nodes": []}', b""):
            self.lamps.write_bytes(content)
            import_head.cache_clear()
            self.assertIn("neither a .glb nor a .gltf file", self.refusal(import_head, self.glb))
        self.lamps.write_bytes(b"glTF" + bytes(30))
        self.assertIn("no readable JSON chunk", self.refusal(import_head, self.glb))


class Naming(WithLamps):
    def test_a_set_is_a_kind_named_by_its_file_and_kinds_may_leave_it_alone(self):
        for name in ("street", "bar"):
            write_glb(self.folder / f"{name}.glb", [POINT], [at(0, 2, 1)])
        kinds = lambda text: (self.beside.write_text(f"[lights]\n{text}\n"), read_settings(self.beside).lights)[1]
        both = kinds('lamps = ["street.glb", "bar.glb"]')
        self.assertEqual(list(both.lamps), ["lamps:street", "lamps:bar"])
        self.assertEqual(both.choice().lamps, ("lamps:street", "lamps:bar"))
        alone = kinds('lamps = "street.glb"\nkinds = ["lamps:street"]')
        self.assertEqual({draw_variation(seed, (), alone.choice()).light_kind for seed in TRAINING}, {"lamps:street"})
        for text, expected in (('lamps = "street.glb"\nkinds = ["sun"]', "lights.kinds leaves out 'lamps:street' of lights.lamps"),
                               ('kinds = ["lamps:street"]', "lights.kinds has 'lamps:street'; expected any of studio"),
                               ('lamps = ["street.glb", "../%s/street.glb"]' % self.folder.name, "two files called street"),
                               ("lamps = 3", "lights.lamps is 3; expected a list of .glb and .gltf files")):
            with self.subTest(text=text):
                self.beside.write_text(f"[lights]\n{text}\n")
                self.assertIn(expected, self.refusal(read_settings, self.beside))

    def test_the_template_finds_the_lamps_from_its_own_folder(self):
        write_glb(self.lamps, [POINT], [at(0, 2, 1)])
        self.assertTrue(write_unless_there(self.glb, self.toml))
        self.assertEqual(read_settings(self.toml), read_settings(self.beside))
        self.assertIn("lamps:street", import_head(self.glb, self.toml).lamps)

    def test_changed_lamps_make_scenes_anew_a_moved_file_and_none_do_not(self):
        digests = []
        for intensity in (40.0, 41.0):
            write_glb(self.lamps, [POINT | {"intensity": intensity}], [at(0, 2, 1)])
            digests.append(scenes.made_of("", read_settings(self.beside)))
        self.assertNotEqual(*digests)
        moved = self.folder / "lights" / "street.glb"
        moved.parent.mkdir()
        self.lamps.rename(moved)
        self.beside.write_text('[lights]\nlamps = ["lights/street.glb"]\n')
        self.assertEqual(scenes.made_of("", read_settings(self.beside)), digests[1])
        self.beside.write_text("[lights]\nlamps = []\n")
        self.assertEqual(scenes.made_of("", read_settings(self.beside)), scenes.made_of("", Settings()))


class Placing(WithLamps):
    NODES = [{"rotation": [HALF, 0, 0, HALF]}, at(0.5, 2.0, 1.5), at(*(EYES + [0, 0, AHEAD_M]))]

    def test_lamps_keep_their_place_beside_the_head_in_any_unit_and_direction(self):
        before = self.placed([SUN, POINT, SPOT], self.NODES)
        for moves in ({"scale": [100] * 3}, {"rotation": [-HALF, 0, 0, HALF], "translation": [4, -3, 2]}, {"rotation": [0, 1, 0, 0]},
                      {"scale": [5] * 3}):
            with self.subTest(moves=moves):
                game_head.write_head(self.glb)
                game_head.put_under(self.glb, **moves)
                document = gltf([SUN, POINT, SPOT], self.NODES)
                document["nodes"].append({"children": [0, 1, 2]} | moves)
                document["scenes"] = [{"nodes": [3]}]
                self.lamps.write_text(json.dumps(document))
                import_head.cache_clear()
                imported = import_head(self.glb)
                after, target = imported.lamps["lamps:street"], imported.head.gaze_point()
                for old, new in zip(before, after):
                    self.assertEqual(type(new), type(old))
                    self.assertTrue(np.allclose(lighting.towards(new, target), lighting.towards(old, target), atol=0.01))
                if "scale" not in moves:
                    self.assertTrue(np.allclose(after[1].position_m, before[1].position_m, atol=2e-3))
                    self.assertTrue(np.allclose([lamp.strength for lamp in after], [lamp.strength for lamp in before]))
                # As the file's own space has it: lux stay, candela lose with the squared distance in its units.
                unit = moves.get("scale", [1])[0]
                ratios = [new.irradiance(target) / old.irradiance(target) for old, new in zip(before, after)]
                self.assertTrue(np.allclose(ratios, [1, unit ** -2, unit ** -2], rtol=0.03), ratios)

    def test_strengths_are_lux_and_candela_and_a_range_weakens_what_stands_near_its_end(self):
        sun, point, spot = self.placed([SUN, POINT, SPOT], self.NODES)
        target = import_head(self.glb).head.gaze_point()
        self.assertAlmostEqual(sun.irradiance(target), 3.0 * (np.array(SUN["color"]) @ lighting.LUMINANCE))
        squared = ((point.position_m - target) ** 2).sum()
        self.assertAlmostEqual(point.irradiance(target), 40.0 / squared)
        self.assertAlmostEqual(spot.irradiance(target), 90.0 / ((spot.position_m - target) ** 2).sum())
        near, = self.placed([POINT | {"range": 1.25 * squared ** 0.5}], self.NODES[1:2])
        self.assertAlmostEqual(near.irradiance(target), 40.0 / squared * (1 - 0.8 ** 4))

    def test_a_spot_falls_off_with_the_square_between_its_angles_and_lamps_that_miss_the_face_are_left_out(self):
        spot = lighting.SpotLight("Spot", np.zeros(3), np.array([0, 0, -1.0]), 0.06, 4 * math.pi, (1.0,) * 3, 0.2, 0.5)
        irradiance = lambda angle: spot.irradiance(np.array([math.sin(angle), 0, -math.cos(angle)]))
        middle = math.acos((math.cos(0.2) + math.cos(0.5)) / 2)
        self.assertTrue(np.allclose([irradiance(angle) for angle in (0, 0.2, middle, 0.5, 2.0)], [1, 1, 0.25, 0, 0]))
        away = self.NODES[2] | {"rotation": [0, 1, 0, 0]}
        self.assertEqual([lamp.name for lamp in self.placed([SUN, SPOT], [self.NODES[0], away])], ["lamp 0"])

    def test_blender_s_lamp_has_the_cone_as_a_falloff_and_stands_where_the_lamp_does(self):
        blender.fresh_scene()
        for lamp in self.placed([SUN, POINT, SPOT], self.NODES):
            blender.add_light(lamp)
        import bpy

        sun, point, spot = (bpy.data.objects[f"lamp {k}"] for k in range(3))
        self.assertEqual([thing.data.type for thing in (sun, point, spot)], ["SUN", "POINT", "POINT"])
        placed = import_head(self.glb).lamps["lamps:street"]
        self.assertTrue(np.allclose(spot.matrix_world.translation, blender.TO_BLENDER @ placed[2].position_m, atol=1e-5))
        self.assertAlmostEqual(spot.data.energy, placed[2].power_w, places=2)
        output = spot.data.node_tree.nodes["Emission"].inputs["Strength"].links[0].from_node
        edge = output.inputs[0].links[0].from_node
        axis = edge.inputs[0].links[0].from_node.inputs[1].default_value
        self.assertTrue(np.allclose(axis, blender.TO_BLENDER @ placed[2].direction))
        value = lambda angle: edge.inputs[1].default_value * math.cos(angle) + edge.inputs[2].default_value
        self.assertTrue(np.allclose([value(0.2), value(0.5)], [1, 0], atol=1e-5))


class Exposing(WithLamps):
    def light(self, entries, nodes, share=0.25):
        own = self.placed(entries, nodes)
        variation = draw_variation(700_000, (), Choice(kinds=("lamps:street",), lamps=("lamps:street",)))
        variation = type(variation)(**vars(variation) | {"environment_share": share})
        sky = np.ones((16, 32, 3), np.float32)
        target = import_head(self.glb).head.gaze_point()
        lights, environment = lighting.light_face(variation, target, sky, "sky.exr", 3.0, own)
        return own, lights, environment, target

    def test_the_drawn_scene_has_these_lamps_and_one_factor_on_all_of_them(self):
        own, lights, environment, target = self.light([SUN, POINT, SPOT], Placing.NODES)
        factors = [light.strength / lamp.strength for light, lamp in zip(lights, own)]
        self.assertTrue(np.allclose(factors, factors[0]))
        for light, lamp in zip(lights, own):
            told, known = light.as_json(), lamp.as_json()
            for key in set(known) - {"power_w", "irradiance_w_m2"}:
                self.assertEqual(told[key], known[key])
        self.assertEqual([light.as_json()["kind"] for light in lights], ["sun", "point", "spot"])
        # An even sky of radiance 1 sheds pi; it has its share of the wanted irradiance.
        self.assertAlmostEqual(environment.strength, 3.0 * 0.25 / math.pi, delta=0.01)

    def test_the_lit_side_of_the_face_has_the_wanted_irradiance_however_strong_the_lamps_are(self):
        ahead = [at(*(placement.EYES_M * [1, 1, 0.85] + [0, 0, AHEAD_M]))]
        for intensity in (0.01, 100_000.0):
            _, lights, _, target = self.light([POINT | {"intensity": intensity}], ahead)
            self.assertAlmostEqual(lights[0].irradiance(target), 3.0 * 0.75, places=2)
        # A lamp beside the key adds what it adds, and one from behind alone becomes strong, but not without bound.
        _, lights, _, target = self.light([POINT, POINT], ahead * 2)
        self.assertAlmostEqual(sum(light.irradiance(target) for light in lights), 3.0 * 0.75, places=2)
        _, lights, _, target = self.light([POINT], [at(0, 1.6, -AHEAD_M)])
        self.assertAlmostEqual(lights[0].irradiance(target), 4 * 3.0 * 0.75, places=2)


class Drawing(WithLamps):
    def test_a_set_is_as_frequent_as_other_kinds_in_training_and_in_what_is_measured(self):
        choice = Choice(lamps=("lamps:street", "lamps:bar"))
        kinds = lambda seeds, choice: [draw_variation(seed, (), choice).light_kind for seed in seeds]
        for first in (700_000, 980_000, 1_980_000):
            drawn = kinds(range(first, first + 400), choice)
            for kind in choice.lamps:
                self.assertAlmostEqual(drawn.count(kind) / 400, 1 / (len(LIGHT["kinds"]) + 2), delta=0.05)
            self.assertTrue(set(LIGHT["kinds"]) <= set(drawn))
        half = kinds(TRAINING, Choice(kinds=("sun", "lamps:street"), lamps=("lamps:street",)))
        self.assertEqual(set(half), {"sun", "lamps:street"})
        self.assertAlmostEqual(half.count("sun") / len(half), 0.5, delta=0.2)

    def test_own_lamps_stand_under_ambient_light_or_surroundings_as_a_sun_does(self):
        choice = Choice(kinds=("lamps:street",), lamps=("lamps:street",), surroundings=("own_1",))
        found = [draw_variation(seed, (), choice).environment for seed in TRAINING]
        self.assertEqual(set(found), {lighting.EVEN_SKY, "own_1"})
        self.assertGreater(found.count(lighting.EVEN_SKY), len(found) / 2)

    def test_a_seed_becomes_a_finished_scene_under_these_lamps_without_light_groups(self):
        self.beside.write_text('[lights]\nlamps = "street.glb"\nkinds = ["lamps:street"]\n')
        own = self.placed([SUN, POINT, SPOT], Placing.NODES)
        imported, seed = import_head(self.glb), 700_000
        scenes.make_scene(self.folder, seed, imported, 48, 1, light_groups=True)
        folder = pairs.seed_folder(self.folder, seed)
        scene = json.loads((folder / "scene.json").read_text())
        self.assertEqual((scene["light_kind"], "light_groups" in scene, list(folder.glob("group_*"))), ("lamps:street", False, []))
        self.assertEqual([light["name"] for light in scene["lights"]], [lamp.name for lamp in own])
        for light, lamp in zip(scene["lights"], own):
            self.assertEqual(light["kind"], lamp.as_json()["kind"])
            self.assertEqual(light.get("direction"), lamp.as_json().get("direction"))
        factor = scene["lights"][1]["power_w"] / own[1].power_w
        self.assertAlmostEqual(scene["lights"][0]["irradiance_w_m2"], factor * own[0].irradiance_w_m2)
        self.assertTrue(scenes.is_made(self.folder, seed, self.glb, 48, 1, True))
        made_of = scenes.made_of(imported.sha256, imported.settings)
        self.assertTrue(scenes.is_current(self.folder, seed, self.glb, made_of, 48, 1, True))
        write_glb(self.lamps, [SUN], Placing.NODES[:1])
        made_of = scenes.made_of(imported.sha256, read_settings(self.beside))
        self.assertFalse(scenes.is_current(self.folder, seed, self.glb, made_of, 48, 1, True))


if __name__ == "__main__":
    unittest.main()
