"""Cycles materials. Each also writes the AOV `importance`, from which `mask.png` is made."""

import bpy
import numpy as np

from . import blender

IMPORTANCE_CLOTH, IMPORTANCE_HAIR, IMPORTANCE_SKIN, IMPORTANCE_FEATURE = 56 / 255, 64 / 255, 160 / 255, 1.0
SUBSURFACE_RADIUS = (1.0, 0.36, 0.20)
SUBSURFACE_SCALE_M, SUBSURFACE_SHARE = 0.002, 0.7      # the rest leaves where it came in, as from the outermost skin
# Path tracing loses light that a rasteriser's skin and hair do not: what a surface reflects is taken from what it scatters, and
# light under the skin leaves beside the lit place. Factors on albedo with which a well-lit cheek, and hair, are as bright in both.
SKIN_GAIN, HAIR_GAIN, LIGHTEST = 1.16, 1.2, 0.95
TEETH_LINEAR, TONGUE_LINEAR = (0.60, 0.54, 0.44), (0.38, 0.13, 0.115)
CARD_ROUGHNESS, CARD_TRANSLUCENCY = 0.5, 0.2
CORNEA_IOR = 1.376
# Tears reflect 2 %. This film reflects 4 %, as the rasteriser's eyes do, or catchlights of a pixel are lost; its lower lobe
# is so blurred that a small lamp is met by more than one of few samples.
TEAR_FILM_IOR, TEAR_FILM_ROUGHNESS, BLURRED_FILM_ROUGHNESS = 1.5, 0.15, 0.3
EUMELANIN_ABSORPTION = np.array([0.506, 0.841, 1.653])
PHEOMELANIN_ABSORPTION = np.array([0.343, 0.733, 1.924])


class Graph:
    """A material's node tree with short ways to add and join nodes."""

    def __init__(self, name, importance):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.node("OutputMaterial")
        aov = self.node("OutputAOV")
        aov.aov_name = "importance"
        self.importance = aov.inputs["Value"]
        self.join(importance, self.importance)

    def node(self, kind, **inputs):
        node = self.tree.nodes.new(f"ShaderNode{kind}")
        for name, value in inputs.items():
            self.join(value, node.inputs[name.replace("_", " ")])
        return node

    def join(self, value, socket):
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        elif isinstance(value, tuple) and len(value) == 3 and socket.type == "RGBA":
            socket.default_value = (*value, 1)
        else:
            socket.default_value = value

    def image(self, image, output="Color"):
        node = self.node("TexImage")
        node.image = image
        return node.outputs[output]

    def covered(self, alpha, shader):
        """The shader where `alpha` covers, and nothing where it does not."""
        mix = self.node("MixShader", Fac=alpha)
        self.join(self.node("BsdfTransparent").outputs[0], mix.inputs[1])
        self.join(shader, mix.inputs[2])
        return mix.outputs[0]

    def finish(self, shader):
        self.join(shader, self.output.inputs["Surface"])
        return self.material


def skin(textures):
    """Random-walk subsurface skin from an identity's textures."""
    feature = blender.make_image("feature", IMPORTANCE_SKIN + (IMPORTANCE_FEATURE - IMPORTANCE_SKIN) * textures.feature,
                                 linear=False)
    graph = Graph("Skin", 0.0)
    importance = graph.image(feature)
    graph.join(importance, graph.importance)
    relief = graph.image(blender.make_image("normal", textures.normal * 0.5 + 0.5, linear=False))
    normal = graph.node("NormalMap", Color=relief).outputs["Normal"]
    roughness = graph.image(blender.make_image("roughness", textures.roughness, linear=False))
    albedo = np.minimum(SKIN_GAIN * textures.albedo_linear, LIGHTEST)
    colour = graph.image(blender.make_image("albedo", albedo, linear=True))
    shader = graph.node("BsdfPrincipled", Base_Color=colour, Roughness=roughness, Normal=normal, IOR=1.4,
                        Subsurface_Weight=SUBSURFACE_SHARE, Subsurface_Radius=SUBSURFACE_RADIUS,
                        Subsurface_Scale=SUBSURFACE_SCALE_M, Coat_Weight=0.04, Coat_Roughness=0.3, Coat_Normal=normal)
    shader.subsurface_method = "RANDOM_WALK"
    return graph.finish(shader.outputs[0])


def eye(albedo_linear):
    """The globe under its tear film.

    The film is a coat and no refractive shell: a shell is left to chance, 2 % of few samples, and denoising takes the
    catchlight for noise; a coat over a dark iris is sampled about as often as the iris.
    """
    graph = Graph("Eye", IMPORTANCE_FEATURE)
    colour = graph.image(blender.make_image("eye", albedo_linear, linear=True))
    return graph.finish(graph.node("BsdfPrincipled", Base_Color=colour, Roughness=BLURRED_FILM_ROUGHNESS, IOR=TEAR_FILM_IOR,
                                   Subsurface_Weight=0.2, Subsurface_Scale=0.0005, Coat_Weight=1.0,
                                   Coat_Roughness=TEAR_FILM_ROUGHNESS, Coat_IOR=TEAR_FILM_IOR).outputs[0])


def cornea(roughness):
    """Clear and refractive to the camera; transparent to shadow and diffuse rays, so the iris is lit."""
    graph = Graph("Cornea", IMPORTANCE_FEATURE)
    ray = graph.node("LightPath")
    either = graph.node("Math")
    either.operation = "MAXIMUM"
    graph.join(ray.outputs["Is Shadow Ray"], either.inputs[0])
    graph.join(ray.outputs["Is Diffuse Ray"], either.inputs[1])
    glass = graph.node("BsdfPrincipled", Base_Color=(1.0, 1.0, 1.0), Roughness=roughness, IOR=CORNEA_IOR, Transmission_Weight=1.0)
    mix = graph.node("MixShader", Fac=either.outputs[0])
    graph.join(glass.outputs[0], mix.inputs[1])
    graph.join(graph.node("BsdfTransparent").outputs[0], mix.inputs[2])
    return graph.finish(mix.outputs[0])


def mouth(name, colour_linear, roughness):
    graph = Graph(name, IMPORTANCE_FEATURE)
    return graph.finish(graph.node("BsdfPrincipled", Base_Color=colour_linear, Roughness=roughness,
                                   Subsurface_Weight=0.4, Subsurface_Scale=0.002).outputs[0])


def cloth(texture):
    """Rough cloth of a `cloth_texture.Cloth`."""
    graph = Graph("Cloth", IMPORTANCE_CLOTH)
    relief = graph.image(blender.make_image("cloth normal", texture.normal * 0.5 + 0.5, linear=False))
    normal = graph.node("NormalMap", Color=relief).outputs["Normal"]
    colour = graph.image(blender.make_image("cloth", texture.albedo_linear, linear=True))
    return graph.finish(graph.node("BsdfPrincipled", Base_Color=colour, Normal=normal, Roughness=0.85,
                                   Sheen_Weight=0.2).outputs[0])


def hair_cards(name, colour_linear, alpha, importance):
    """Cards with a diffuse body, light that passes through, and a broad highlight. `colour_linear` [S, S, 3]."""
    graph = Graph(name, importance)
    picture = blender.make_image(name, np.dstack([np.minimum(HAIR_GAIN * colour_linear, LIGHTEST), alpha]), linear=True)
    colour, cover = graph.image(picture), graph.image(picture, "Alpha")
    body = graph.node("BsdfPrincipled", Base_Color=colour, Roughness=CARD_ROUGHNESS, Specular_IOR_Level=0.4).outputs[0]
    through = graph.node("MixShader", Fac=CARD_TRANSLUCENCY)
    graph.join(body, through.inputs[1])
    graph.join(graph.node("BsdfTranslucent", Color=colour).outputs[0], through.inputs[2])
    return graph.finish(graph.covered(cover, through.outputs[0]))


def item(name, colour_linear, roughness, metallic, alpha):
    """A thing that somebody wears or holds, or that stands around; below alpha one it is clear glass of that tint."""
    graph = Graph(name, IMPORTANCE_CLOTH)
    shader = graph.node("BsdfPrincipled", Base_Color=colour_linear, Roughness=roughness, Metallic=metallic).outputs[0]
    if alpha < 1:
        shader = graph.covered(alpha, shader)
    return graph.finish(shader)


def matte(colour_linear):
    """Pure diffuse, for calibration."""
    graph = Graph("Matte", IMPORTANCE_SKIN)
    return graph.finish(graph.node("BsdfDiffuse", Color=colour_linear, Roughness=0.0).outputs[0])


def strand_shades(identity):
    """Melanin, redness, roughness and importance of each kind of strand."""
    melanin, redness = identity.hair_melanin, identity.hair_redness
    return {"hair": (melanin, redness, 0.26, IMPORTANCE_HAIR),
            "brow": (min(0.97, 0.7 * melanin + 0.3), redness, 0.38, IMPORTANCE_FEATURE),
            "lash": (max(0.93, melanin), 0.1, 0.25, IMPORTANCE_FEATURE)}


def hair(identity, kind):
    """Principled hair, whose melanin is the strand attribute `melanin`."""
    _, redness, roughness, importance = strand_shades(identity)[kind]
    graph = Graph("Strands " + kind, importance)
    amount = graph.node("Attribute")
    amount.attribute_name = "melanin"
    shader = graph.tree.nodes.new("ShaderNodeBsdfHairPrincipled")
    shader.parametrization = "MELANIN"
    for name, value in (("Melanin", amount.outputs["Fac"]), ("Melanin Redness", redness), ("Roughness", roughness),
                        ("Radial Roughness", roughness + 0.05), ("Random Color", 0.3), ("Random Roughness", 0.25),
                        ("Coat", 0.05)):
        graph.join(value, shader.inputs[name])
    return graph.finish(shader.outputs[0])


def hair_albedo_linear(melanin, redness, radial_roughness):
    """Diffuse colours [..., 3] that make a rasteriser's hair look like Principled Hair with this melanin [...].

    The albedo follows Chiang et al. 2016, "A Practical and Controllable Hair and Fur Model",
    equation 9, solved for the colour. The power, scale and lift were fitted to rendered references: a
    diffuse ribbon lacks the light that passes through and glances off strands.
    """
    amount = -np.log(np.maximum(1 - np.asarray(melanin), 1e-4))[..., None]
    absorption = amount * ((1 - redness) * EUMELANIN_ABSORPTION + redness * PHEOMELANIN_ABSORPTION)
    b = radial_roughness
    scale = 5.969 - 0.215 * b + 2.532 * b**2 - 10.73 * b**3 + 5.574 * b**4 + 0.245 * b**5
    return np.minimum(0.005 + 0.85 * np.exp(-np.sqrt(absorption) * scale) ** 0.6, 0.8)
