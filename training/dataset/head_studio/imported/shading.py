"""Cycles' scene of an imported figure: a material for each role, from the file's own colours and normals."""

import bpy
import numpy as np

from .. import blender, eyes, masks
from ..materials import IMPORTANCE_FEATURE, IMPORTANCE_HAIR, IMPORTANCE_SKIN, SUBSURFACE_RADIUS, Graph, cornea
from ..noise import smoothstep
from .looks import look_of, texture_places
from .placement import EYE_DISTANCE_M

SKIN_IOR = 1.4
CLOTH_ROUGHNESS, CLOTH_SHEEN = 0.85, 0.2
PAINTED_HAIR_ROUGHNESS, PAINTED_HAIR_ANISOTROPY = 0.5, 0.4
STRAND_RELIEF_M = 0.0006       # strands that only the colour shows break the highlight as if they stood out
WET_ROUGHNESS = 0.25
WET_EYE_ROUGHNESS, DRY_EYE_ROUGHNESS = 0.15, 0.3     # few samples find no lamp in a sharper one
CORNEA_GAP = 1.006             # radius of the cornea's globe over the eyeball's, which it must not touch
IMPORTANCE = {"eye": IMPORTANCE_FEATURE, "cornea": IMPORTANCE_FEATURE, "brow": IMPORTANCE_FEATURE, "lash": IMPORTANCE_FEATURE,
              "teeth": IMPORTANCE_FEATURE, "mouth": IMPORTANCE_FEATURE, "glasses": IMPORTANCE_FEATURE,
              "other": IMPORTANCE_SKIN, "hair": IMPORTANCE_HAIR, "cloth": IMPORTANCE_HAIR}


class _Images:
    """The document's images as Blender's, each loaded once for each colour space."""

    def __init__(self, imported):
        self.imported, self.loaded = imported, {}

    def load(self, index, is_colour):
        key = (index, is_colour)
        if key not in self.loaded:
            content = self.imported.images.get(index) or self.imported.document.image(index)
            image = bpy.data.images.new(f"image {index}", 8, 8)
            image.pack(data=content, data_len=len(content))
            image.source = "FILE"
            image.colorspace_settings.name = "sRGB" if is_colour else "Non-Color"
            image.alpha_mode = "CHANNEL_PACKED"
            self.loaded[key] = image
        return self.loaded[key]


class _Surface:
    """A graph with the sockets that a look's textures feed."""

    def __init__(self, part, look, load, importance):
        self.look = look
        self.graph = graph = Graph(f"{look.name} as {part.role}", importance)
        self.colour, self.alpha = look.colour_linear[:3], look.colour_linear[3]
        self.roughness, self.normal = look.roughness, None
        if "COLOR_0" in part.others:
            attribute = graph.node("Attribute")
            attribute.attribute_name = "tint"
            self.colour = self._times(attribute.outputs["Color"], self.colour)
        if part.uvs is None:
            return
        if look.colour_image is not None:
            node = graph.node("TexImage")
            node.image = load(look.colour_image, True)
            self.colour = self._times(node.outputs["Color"], self.colour)
            self.alpha = self._math("MULTIPLY", node.outputs["Alpha"], look.colour_linear[3])
        if look.surface_image is not None:
            parts = graph.node("SeparateColor", Color=graph.image(load(look.surface_image, False)))
            self.roughness = self._math("MULTIPLY", parts.outputs["Green"], look.roughness)
        if look.normal_image is not None:
            relief = graph.node("NormalMap", Color=graph.image(load(look.normal_image, False)), Strength=look.normal_scale)
            self.normal = relief.outputs["Normal"]

    def brighter(self, gain):
        """The colour, times a number."""
        if isinstance(self.colour, bpy.types.NodeSocket):
            return self._times(self.colour, (gain,) * 3)
        return tuple(gain * value for value in self.colour)

    def rougher(self, factor):
        """The roughness, times a number, at most 1."""
        if factor == 1.0:
            return self.roughness
        if isinstance(self.roughness, bpy.types.NodeSocket):
            return self._math("MINIMUM", self._math("MULTIPLY", self.roughness, factor), 1.0)
        return min(factor * self.roughness, 1.0)

    def _times(self, a, b):
        """The product of two colours."""
        node = self.graph.node("Mix")
        node.data_type, node.blend_type = "RGBA", "MULTIPLY"
        for value, socket in ((1.0, node.inputs[0]), (a, node.inputs[6]), (b, node.inputs[7])):
            self.graph.join(value, socket)
        return node.outputs[2]

    def _math(self, operation, a, b):
        node = self.graph.node("Math")
        node.operation = operation
        self.graph.join(a, node.inputs[0])
        self.graph.join(b, node.inputs[1])
        return node.outputs[0]

    def principled(self, **inputs):
        """A Principled BSDF's output; the look's colour, roughness and normal unless told otherwise."""
        given = {"Base_Color": self.colour, "Roughness": self.roughness} | inputs
        shader = self.graph.node("BsdfPrincipled", **given)
        if self.normal is not None:
            self.graph.join(self.normal, shader.inputs["Normal"])
        return shader

    def mix(self, share, first, second):
        node = self.graph.node("MixShader", Fac=share)
        self.graph.join(first, node.inputs[1])
        self.graph.join(second, node.inputs[2])
        return node.outputs[0]

    def finish(self, shader):
        """The material, cut out by alpha where the file says so."""
        if self.look.alpha_mode != "OPAQUE":
            shown = (self._math("GREATER_THAN", self.alpha, self.look.alpha_cutoff) if self.look.alpha_mode == "MASK"
                     else self.alpha)
            shader = self.mix(shown, self.graph.node("BsdfTransparent").outputs[0], shader)
        return self.graph.finish(shader)


def _hair_lobe(surface, brightness, roughness, anisotropy):
    """A glossy lobe stretched across strands, which run along v in textures of hair, and broken by those that the colour
    shows."""
    graph = surface.graph
    shader = surface.principled(Base_Color=surface.brighter(brightness), Roughness=roughness, Anisotropic=anisotropy,
                                Metallic=0.0)
    if isinstance(surface.colour, bpy.types.NodeSocket):
        tangent = graph.node("Tangent")
        tangent.direction_type = "UV_MAP"
        graph.join(tangent.outputs[0], shader.inputs["Tangent"])
        relief = graph.node("Bump", Strength=1.0, Distance=STRAND_RELIEF_M, Height=surface.colour)
        if surface.normal is not None:
            graph.join(surface.normal, relief.inputs["Normal"])
        graph.join(relief.outputs[0], shader.inputs["Normal"])
    return shader.outputs[0]


def _hair(surface, hair):
    through = surface.graph.node("BsdfTranslucent", Color=surface.brighter(hair.brightness)).outputs[0]
    lobe = _hair_lobe(surface, hair.brightness, hair.roughness, hair.anisotropy)
    return surface.mix(hair.translucency, lobe, through)


def _cloth(surface):
    return surface.principled(Roughness=CLOTH_ROUGHNESS, Sheen_Weight=CLOTH_SHEEN, Specular_IOR_Level=0.3).outputs[0]


def _skin(part, look, load, imported):
    surface = _Surface(part, look, load, 0.0)
    graph, chosen = surface.graph, imported.settings.skin
    scale = chosen.scattering_m * imported.head.eye_distance_m() / EYE_DISTANCE_M
    shader = surface.principled(Base_Color=surface.brighter(chosen.brightness), Roughness=surface.rougher(chosen.roughness),
                                IOR=SKIN_IOR, Subsurface_Weight=chosen.scattering, Subsurface_Radius=SUBSURFACE_RADIUS,
                                Subsurface_Scale=scale, Metallic=0.0)
    shader.subsurface_method = "RANDOM_WALK"
    skin = shader.outputs[0]
    attribute = graph.node("Attribute")
    attribute.attribute_name = "importance"
    importance = attribute.outputs["Fac"]
    regions = imported.regions.get(part.material)
    if regions is not None:
        image = blender.make_image("regions", np.stack([regions.cloth, regions.hair, np.zeros_like(regions.hair)], 2),
                                   linear=True)
        share = graph.node("SeparateColor", Color=graph.image(image)).outputs
        painted = _hair_lobe(surface, imported.settings.hair.brightness, PAINTED_HAIR_ROUGHNESS, PAINTED_HAIR_ANISOTROPY)
        skin = surface.mix(share["Green"], skin, painted)
        skin = surface.mix(share["Red"], skin, _cloth(surface))
        covered = surface._math("MAXIMUM", share["Red"], share["Green"])
        mean = graph.node("Mix", Factor=covered)
        graph.join(importance, mean.inputs[2])
        graph.join(IMPORTANCE_HAIR, mean.inputs[3])
        importance = mean.outputs[0]
    graph.join(importance, graph.importance)
    return surface.finish(skin)


def _cornea(imported):
    dryness = 1.0 - imported.settings.eyes.wetness
    return cornea(WET_EYE_ROUGHNESS + (DRY_EYE_ROUGHNESS - WET_EYE_ROUGHNESS) * dryness)


def material_of(part, look, load, imported):
    """The Cycles material of a part."""
    if part.role == "skin":
        return _skin(part, look, load, imported)
    if part.role == "cornea":
        return _cornea(imported)
    surface = _Surface(part, look, load, IMPORTANCE[part.role])
    if part.role == "hair":
        return surface.finish(_hair(surface, imported.settings.hair))
    if part.role in ("brow", "lash"):
        return surface.finish(surface.principled(Specular_IOR_Level=0.2).outputs[0])
    if part.role == "eye":
        return surface.finish(surface.principled(Roughness=0.45, Specular_IOR_Level=0.2, Subsurface_Weight=0.2,
                                                 Subsurface_Scale=0.002, Metallic=0.0).outputs[0])
    if part.role in ("teeth", "mouth"):
        return surface.finish(surface.principled(Roughness=WET_ROUGHNESS, Subsurface_Weight=0.4, Subsurface_Scale=0.002,
                                                 Metallic=0.0).outputs[0])
    if part.role == "cloth":
        return surface.finish(_cloth(surface))
    return surface.finish(surface.principled(Metallic=look.metallic).outputs[0])


def skin_importance(head, positions):
    """Importance of each point [V] of skin: more around eyes, brows and lips."""
    rest = head.rest(positions)
    eye = smoothstep(0.45, 0.75, 1.3 * masks.blob(rest, (0.31, 7.28, 1.35), (0.21, 0.13, 0.5)))
    lips = smoothstep(0.4, 0.7, masks.blob(rest, (0.0, 6.70, 1.5), (0.30, 0.11, 0.4)))
    feature = np.maximum(np.maximum(smoothstep(0.25, 0.6, masks.brows(rest)), eye), lips)
    return IMPORTANCE_SKIN + (IMPORTANCE_FEATURE - IMPORTANCE_SKIN) * np.clip(feature, 0, 1)


def _add_part(part, look, positions, normals, material, head):
    uvs = None if part.uvs is None else (texture_places(look, part.uvs) * [1, -1] + [0, 1])[part.triangles]
    thing = blender.add_mesh(part.name, positions, part.triangles, material, uvs)
    mesh = thing.data
    mesh.normals_split_custom_set_from_vertices(normals @ blender.TO_BLENDER.T)
    if "COLOR_0" in part.others:
        colours = part.others["COLOR_0"]
        tint = mesh.attributes.new("tint", "FLOAT_COLOR", "POINT")
        tint.data.foreach_set("color", np.concatenate([colours[:, :3], np.ones((len(colours), 1), np.float32)], 1).ravel())
    if part.role == "skin":
        values = mesh.attributes.new("importance", "FLOAT", "POINT")
        values.data.foreach_set("value", skin_importance(head, positions).astype(np.float32))


def add_figure(figure):
    """Puts a figure into the current Blender scene; eyes without a cornea of their own get one."""
    imported, materials, load = figure.imported, {}, _Images(figure.imported).load
    for part, positions, normals in zip(figure.parts, figure.positions, figure.normals):
        look = look_of(imported.document, part.material)
        key = (part.material, part.role, part.uvs is None, "COLOR_0" in part.others)
        if key not in materials:
            materials[key] = material_of(part, look, load, imported)
        _add_part(part, look, positions, normals, materials[key], imported.head)
    if imported.head.found_eyes and not any(part.role == "cornea" for part in figure.parts):
        vertices, quads, uvs = eyes.globe()
        clear = _cornea(imported)
        for side, eye in zip("lr", imported.head.eyes):
            placed = vertices @ figure.gaze.T * (eye.radius_m * CORNEA_GAP) + eye.centre_m
            blender.add_mesh(f"Cornea.{side}", placed, quads, clear, uvs[quads])
