"""Files and formulas that other programs rely on. Needs numpy, not Blender."""

import json
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np

from head_studio import exr, gltf, lighting, strands
from head_studio.subdivision import QuadMesh, subdivide


class Formats(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name) / "file"

    def test_exr_reads_what_it_wrote(self):
        for shape in ((1, 1, 3), (37, 53, 4), (16, 512, 3)):
            image = np.random.default_rng(1).random(shape).astype(np.float16).astype(np.float32)
            exr.write_exr(self.path, image)
            planes = exr.read_exr(self.path)
            for index, channel in enumerate("RGBA"[:shape[2]]):
                np.testing.assert_array_equal(planes[channel], image[..., index])

    def test_glb_lengths_and_morph_names_are_right(self):
        triangle = np.eye(3)
        mesh = gltf.Mesh("Head", triangle, triangle, np.array([[0, 1, 2]]), gltf.Material("Skin"),
                         morphs={"jawOpen": 0.1 * triangle})
        gltf.write_glb(self.path, [mesh])
        data = self.path.read_bytes()
        self.assertEqual(struct.unpack("<4sII", data[:12]), (b"glTF", 2, len(data)))
        length, = struct.unpack("<I", data[12:16])
        document = json.loads(data[20:20 + length])
        self.assertEqual(document["meshes"][0]["extras"]["targetNames"], ["jawOpen"])
        self.assertEqual(document["accessors"][0]["max"], [1.0, 1.0, 1.0])

    def test_tiled_textures_repeat_and_others_do_not(self):
        triangle = np.eye(3)
        materials = [gltf.Material("Cloth", colour_image=b"\x89PNG", tiled=True), gltf.Material("Skin", colour_image=b"\x89PNG")]
        gltf.write_glb(self.path, [gltf.Mesh(one.name, triangle, triangle, np.array([[0, 1, 2]]), one) for one in materials])
        data = self.path.read_bytes()
        document = json.loads(data[20:20 + struct.unpack("<I", data[12:16])[0]])
        wraps = [document["samplers"][texture["sampler"]]["wrapS"] for texture in document["textures"]]
        self.assertEqual(wraps, [gltf.REPEAT, gltf.CLAMP])


class Formulas(unittest.TestCase):
    def test_environment_directions_follow_the_documented_convention(self):
        towards, solid_angle = lighting.directions(256, 512, 0)
        np.testing.assert_allclose(towards[127, 256], [1, 0, 0], atol=0.02)
        np.testing.assert_allclose(towards[127, 128], [0, 0, -1], atol=0.02)
        np.testing.assert_allclose(towards[0, 0], [0, 1, 0], atol=0.02)
        turned, _ = lighting.directions(256, 512, 90)
        np.testing.assert_allclose(turned[127, 256], [0, 0, 1], atol=0.02)
        self.assertAlmostEqual(float(solid_angle.sum() * 512), 4 * np.pi, places=3)

    def test_camera_looks_at_its_target_and_its_quaternion_is_a_rotation(self):
        quaternion = lighting.quaternion_xyzw(np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]]))
        np.testing.assert_allclose(quaternion, [0, np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-9)

    def test_subdivided_flat_quad_keeps_its_area_and_uvs(self):
        mesh = QuadMesh(np.array([[0, 1, 4, 3], [1, 2, 5, 4]]), np.zeros((2, 4, 2)), 6)
        mesh.corner_uvs[:] = [[0, 0], [1, 0], [1, 1], [0, 1]]
        fine, matrix = subdivide(mesh, 2)
        self.assertEqual(len(fine.quads), 32)
        np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1)
        np.testing.assert_allclose(fine.corner_uvs[:, 0].min(0), 0)

    def test_ribbon_normals_are_unit_and_point_away_from_the_skin(self):
        draw = np.random.default_rng(2)
        points = np.cumsum(draw.normal(0, 0.001, (50, 6, 3)), axis=1)
        up = np.tile([0, 1.0, 0], (50, 1))
        positions, normals, triangles = strands.ribbons(points, up[:, None], np.full(50, 1e-4), draw.normal(0, 0.5, 50))
        self.assertEqual(len(positions), 600)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
        self.assertGreater(normals[:, 1].mean(), 0.5)
        self.assertLess(triangles.max(), 600)

    def test_a_glb_stores_the_same_content_once_and_colours_of_vertices(self):
        points = np.eye(3)
        material = gltf.Material("Plain", specular=0.5)
        one = gltf.Mesh("One", points, points, np.array([[0, 1, 2]]), material, colours_linear=points / 2)
        document, buffer = {key: [] for key in ("meshes", "materials", "nodes", "images", "textures")}, gltf.Buffer()
        document["scenes"] = [{"nodes": []}]
        gltf._add_mesh(document, buffer, one)
        before = buffer.length
        gltf._add_mesh(document, buffer, one)
        self.assertEqual(buffer.length, before)
        self.assertIn("COLOR_0", document["meshes"][0]["primitives"][0]["attributes"])
        self.assertEqual(document["extensionsUsed"], [gltf.SPECULAR])



if __name__ == "__main__":
    unittest.main()
