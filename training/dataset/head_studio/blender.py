"""The bridge to Blender: fresh scenes, meshes, curves, images, lights, camera and world.

The only place that converts glTF axes (Y up) to Blender's (Z up): (x, y, z) -> (x, -z, y).
"""

import math

import bpy
import numpy as np
from mathutils import Matrix

TO_BLENDER = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def fresh_scene():
    """An empty scene; everything of the previous one is freed."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    return bpy.context.scene


def _link(name, data, material):
    thing = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(thing)
    if material is not None:
        data.materials.append(material)
    return thing


def add_mesh(name, positions_m, quads, material, corner_uvs=None):
    """A smooth mesh of quads [F, 4], or triangles [F, 3]; `corner_uvs` [F, 4 or 3, 2] has v up."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(positions_m))
    mesh.vertices.foreach_set("co", (positions_m @ TO_BLENDER.T).astype(np.float32).ravel())
    mesh.loops.add(quads.size)
    mesh.loops.foreach_set("vertex_index", quads.astype(np.int32).ravel())
    mesh.polygons.add(len(quads))
    mesh.polygons.foreach_set("loop_start", np.arange(0, quads.size, quads.shape[1], dtype=np.int32))
    if corner_uvs is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        layer.uv.foreach_set("vector", corner_uvs.astype(np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(quads), bool))
    mesh.update(calc_edges=True)
    return _link(name, mesh, material)


def add_curves(strands, material, melanin):
    """Hair strands as curves with a radius for each point and `melanin` [N] for each strand."""
    count, length = strands.points.shape[:2]
    curves = bpy.data.hair_curves.new(strands.name)
    curves.add_curves([length] * count)
    points = strands.points.reshape(-1, 3) @ TO_BLENDER.T
    curves.position_data.foreach_set("vector", points.astype(np.float32).ravel())
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    radius.data.foreach_set("value", strands.radii_m().astype(np.float32).ravel())
    amount = curves.attributes.new("melanin", "FLOAT", "CURVE")
    amount.data.foreach_set("value", melanin.astype(np.float32))
    return _link(strands.name, curves, material)


def make_image(name, values, linear):
    """A float image of [H, W, C] values, row 0 on top; `linear` colour, with straight alpha when C is 4, or plain data when C
    is 1."""
    height, width = values.shape[:2]
    values = values if values.ndim == 3 else values[..., None]
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :max(values.shape[2], 3)] = values
    image = bpy.data.images.new(name, width, height, float_buffer=True, is_data=not linear)
    if linear:
        image.colorspace_settings.name = "Linear Rec.709"
        image.alpha_mode = "CHANNEL_PACKED"
    image.pixels.foreach_set(pixels[::-1].ravel())
    image.update()
    image.pack()
    return image


def load_linear_image(path):
    """Linear [H, W, 3] float32 of an image file Blender can read, row 0 on top."""
    image = bpy.data.images.load(str(path))
    pixels = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    image.pixels.foreach_get(pixels)
    values = pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, :3].copy()
    bpy.data.images.remove(image)
    return values


def pose(thing, rotation, translation_m, scale=1.0):
    """Sets an object's transform, whose local axes stay its own, from world-space glTF values."""
    matrix = np.eye(4)
    matrix[:3, :3] = TO_BLENDER @ rotation * scale
    matrix[:3, 3] = TO_BLENDER @ translation_m
    thing.matrix_world = Matrix(matrix.tolist())


def _turn_along(direction):
    """Rotation whose -Z looks along a direction."""
    backward = -direction
    helper = np.array([0, 1.0, 0]) if abs(backward[1]) < 0.95 else np.array([1.0, 0, 0])
    right = np.cross(helper, backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward], 1)


def _shape_cone(data, light):
    """Lets a ball shine in a spot light's cone alone. Blender's own spot lights fall off by another curve than glTF's and Bevy's."""
    data.use_nodes = True
    nodes, links = data.node_tree.nodes, data.node_tree.links
    geometry, cosine = nodes.new("ShaderNodeNewGeometry"), nodes.new("ShaderNodeVectorMath")
    edge, squared = nodes.new("ShaderNodeMath"), nodes.new("ShaderNodeMath")
    # Of a lamp, what Blender calls incoming points from the lamp to what it lights.
    cosine.operation, cosine.inputs[1].default_value = "DOT_PRODUCT", (TO_BLENDER @ light.direction).tolist()
    edge.operation, edge.use_clamp, squared.operation = "MULTIPLY_ADD", True, "MULTIPLY"
    edge.inputs[1].default_value, edge.inputs[2].default_value = light.edge()
    links.new(geometry.outputs["Incoming"], cosine.inputs[0])
    links.new(cosine.outputs["Value"], edge.inputs[0])
    links.new(edge.outputs["Value"], squared.inputs[0])
    links.new(edge.outputs["Value"], squared.inputs[1])
    links.new(squared.outputs["Value"], nodes["Emission"].inputs["Strength"])


def add_light(light):
    """A disk that shines along its direction, a ball, a ball that shines in a cone, or a sun, by what `lighting.py` calls them."""
    kind = light.as_json()["kind"]
    data = bpy.data.lights.new(light.name, "POINT" if kind == "spot" else kind.upper())
    data.energy, data.color = light.strength, light.colour_linear
    thing = _link(light.name, data, None)
    if kind == "area":
        data.shape, data.size = "DISK", light.diameter_m
        pose(thing, _turn_along(light.direction), light.position_m)
    elif kind in ("point", "spot"):
        data.shadow_soft_size = light.diameter_m / 2
        pose(thing, np.eye(3), light.position_m)
        if kind == "spot":
            _shape_cone(data, light)
    else:
        data.angle = math.radians(light.angle_deg)
        pose(thing, _turn_along(light.direction), np.zeros(3))


def set_camera(camera):
    """Makes the scene's camera; the image is square."""
    data = bpy.data.cameras.new("Camera")
    data.sensor_fit, data.angle, data.clip_start = "HORIZONTAL", camera.fov_rad, camera.near_m
    thing = _link("Camera", data, None)
    pose(thing, camera.axes, camera.position_m)
    bpy.context.scene.camera = thing


def set_world(environment, image_path):
    """Lights the scene with an equirectangular EXR, by the convention of `lighting.py`; None is black."""
    world = bpy.data.worlds.new("World")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    background = nodes["Background"]
    if environment is None:
        background.inputs["Color"].default_value = (0, 0, 0, 1)
        return
    texture, mapping, place = (nodes.new(f"ShaderNode{kind}") for kind in ("TexEnvironment", "Mapping", "TexCoord"))
    texture.image = bpy.data.images.load(str(image_path), check_existing=True)
    texture.image.colorspace_settings.name = "Linear Rec.709"
    mapping.inputs["Rotation"].default_value = (0, 0, math.radians(environment.rotation_deg))
    background.inputs["Strength"].default_value = environment.strength
    links.new(place.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], background.inputs["Color"])
