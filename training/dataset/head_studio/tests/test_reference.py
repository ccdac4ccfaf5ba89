"""The path-traced image: its size, its rays, and how far a pixel's neighbours reach into it."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

from head_studio import blender, lighting, reference

SIZE_PX = 16


def glowing():
    """A material of radiance 1."""
    import bpy

    material = bpy.data.materials.new("Glow")
    nodes = material.node_tree.nodes
    nodes.clear()
    light, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(light.outputs[0], out.inputs["Surface"])
    return material


class Reference(unittest.TestCase):
    def setUp(self):
        blender.fresh_scene()
        blender.set_camera(lighting.Camera(np.array([0, 0, 1.0]), np.eye(3), 0.5))
        left_half = np.array([[-1, -1, 0], [0, -1, 0], [0, 1, 0], [-1, 1, 0]], float)
        blender.add_mesh("Glow", left_half, np.array([[0, 1, 2, 3]]), glowing())

    def test_an_edge_between_two_pixels_stays_between_them(self):
        """A filter or a denoiser as wide as the image's own pixels would mix both sides into each."""
        for denoise in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                image = reference.render(Path(folder), "edge.exr", SIZE_PX, 64, 1, denoise=denoise)
            self.assertEqual(image.shape, (SIZE_PX, SIZE_PX, 4))
            columns = image[4:-4, :, [0, 3]].mean((0, 2))
            self.assertTrue((columns[:SIZE_PX // 2] > 0.93).all() and (columns[SIZE_PX // 2:] < 0.07).all(), columns)

    def test_samples_are_rays_for_each_pixel_of_the_image_rounded_up(self):
        for samples, traced in ((1, 1), (16, 4), (18, 5)):
            scene = reference._configure(SIZE_PX, samples, 1)
            self.assertEqual((scene.render.resolution_x, scene.cycles.samples), (2 * SIZE_PX, traced))
            blender.fresh_scene()


if __name__ == "__main__":
    unittest.main()
