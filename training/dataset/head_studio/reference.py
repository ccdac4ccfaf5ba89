"""The reference image: Cycles' scene of a figure, its render, and the importance mask."""

import tempfile
from pathlib import Path

import bpy
import numpy as np
from PIL import Image
from scipy import ndimage

from . import blender, export, eyes, materials
from .anatomy import head_part
from .cloth_texture import make_cloth
from .exr import read_exr, write_exr
from .storage import UsageError, replacing
from .texture_space import head_uvs

BOUNCES = {"max_bounces": 6, "diffuse_bounces": 2, "glossy_bounces": 2, "transmission_bounces": 5,
           "transparent_max_bounces": 24}
# Images are traced and denoised at this many times their size, then averaged: a denoiser blurs over its own pixels, which are
# half of the image's. At as many rays, that keeps lids, lashes and pores that are lost otherwise.
SUPERSAMPLING = 2
_device = "CPU"


def _shown_alpha(one, card_alpha):
    """The cover [S, S] of a card: masked hair is cut off as the rasteriser cuts it."""
    return (one.alpha > export.CARD_CUTOFF).astype(np.float32) if one.kind == "hair" and card_alpha == "mask" else one.alpha


def add_figure(figure, textures, eye_albedo, card_alpha="mask"):
    """Puts a figure into the current Blender scene."""
    identity = figure.identity
    blender.add_mesh("Head", figure.head, head_part().mesh.quads, materials.skin(textures), head_uvs())
    positions, _, quads, uvs = figure.shirt
    blender.add_mesh("Shirt", positions, quads, materials.cloth(make_cloth(identity)), uvs[quads])
    teeth = materials.mouth("Teeth", materials.TEETH_LINEAR, 0.25)
    tongue = materials.mouth("Tongue", materials.TONGUE_LINEAR, 0.35)
    for name, (positions, quads) in figure.mouth.items():
        blender.add_mesh(name, positions, quads, tongue if name == "Tongue" else teeth)
    wet_eye = materials.eye(eye_albedo)
    vertices, quads, uvs = eyes.globe()
    for place in figure.eyes:
        world = vertices @ place.rotation.T * place.radius_m + place.centre_m
        blender.add_mesh(f"Eye.{place.side}", world, quads, wet_eye, uvs[quads])
    kinds = {strands.kind for strands in figure.strands}
    shades = {kind: materials.hair(identity, kind) for kind in sorted(kinds)}
    for strands in figure.strands:
        blender.add_curves(strands, shades[strands.kind], strands.melanin(materials.strand_shades(identity)[strands.kind][0]))
    for one in figure.cards:
        importance = materials.strand_shades(identity)[one.kind][3]
        material = materials.hair_cards(one.name, export.card_albedo(one, identity), _shown_alpha(one, card_alpha), importance)
        blender.add_mesh(one.name, one.positions, one.triangles, material, one.corner_uvs)
    for item in figure.items:
        material = materials.item(item.name, item.colour_linear, item.roughness, item.metallic, item.alpha)
        blender.add_mesh(item.name, item.positions, item.triangles, material)


def add_lights(lights, environment, environment_path):
    for light in lights:
        blender.add_light(light)
    blender.set_world(environment, environment_path)


def cycles_settings(samples, seed):
    """The entry of the render in `scene.json`."""
    return {"samples": samples, "seed": seed, "supersampling": SUPERSAMPLING, "denoiser": "OPENIMAGEDENOISE",
            "denoiser_inputs": "RGB_ALBEDO_NORMAL", "sample_clamp_indirect": 4.0, "filter": "BLACKMAN_HARRIS",
            "filter_width_px": 1.5 / SUPERSAMPLING} | BOUNCES


def use_device(kind):
    """Renders on `cpu`, or on the GPUs that Cycles finds by `cuda` or `optix`."""
    if kind == "cpu":
        return
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = kind.upper()
    preferences.get_devices()
    for device in preferences.devices:
        device.use = device.type == kind.upper()
    if not any(device.use for device in preferences.devices):
        found = ", ".join(f"{device.name} ({device.type})" for device in preferences.devices) or "none"
        raise UsageError(f"--device {kind}: Cycles finds no such device; found: {found}; --device cpu always works")
    global _device
    _device = "GPU"


def _configure(size_px, samples, seed):
    """The current scene, set to trace at least `samples` rays for each pixel of an image of `size_px`."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.seed = _device, -(-samples // SUPERSAMPLING**2), seed % 2**31
    cycles.use_adaptive_sampling = cycles.use_denoising = False
    for name, value in BOUNCES.items():
        setattr(cycles, name, value)
    cycles.sample_clamp_indirect = 4.0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    render = scene.render
    render.film_transparent, render.hair_type = True, "STRIP"
    render.resolution_x = render.resolution_y = size_px * SUPERSAMPLING
    render.resolution_percentage = 100
    aov = scene.view_layers[0].aovs.add()
    aov.name, aov.type = "importance", "VALUE"
    _write_layers(render.image_settings)
    return scene


def _write_layers(settings):
    settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    settings.exr_codec, settings.color_depth, settings.use_exr_interleave = "NONE", "32", True


def _path_trace(scene, folder):
    """{layer name without the view layer's: [H, W]} of the configured scene."""
    path = Path(folder) / "layers.exr"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return {name.split(".", 1)[1]: plane for name, plane in read_exr(path).items()}


def _averaged(plane):
    """[H, W, ...] from `SUPERSAMPLING` times as many rows and columns."""
    height, width = (length // SUPERSAMPLING for length in plane.shape[:2])
    return plane.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, *plane.shape[2:]).mean((1, 3))


def _write_mask(layers, path):
    importance = _averaged(next(plane for name, plane in layers.items() if name.startswith("importance")))
    with replacing(path) as temporary:
        Image.fromarray((importance.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(temporary)


def render(folder, image_name, size_px, samples, seed, mask_name=None, denoise=True):
    """Renders the current scene to `folder/image_name` (linear RGBA half EXR) and the mask beside it."""
    scene = _configure(size_px, samples, seed)
    with tempfile.TemporaryDirectory() as scratch:
        if denoise:
            _denoise(scene, ["Image"], scratch)
        layers = _path_trace(scene, scratch)
        colour, alpha = _colour(layers, "Combined"), layers["Combined.A"]
        if denoise:
            (colour,), alpha = _denoised(scratch, ["Image"], alpha)
    image = _averaged(np.dstack([colour, alpha]))
    with replacing(folder / image_name) as path:
        write_exr(path, image)
    if mask_name is not None:
        _write_mask(layers, folder / mask_name)
    return image


def render_light_groups(mask_path, size_px, samples, seed):
    """The current scene under each lamp and the surroundings ("Environment") alone, in one render: ({name: linear
    [H, W, 3]}, alpha [H, W]). Light adds up, so any weighted sum of them is the scene under other light.
    """
    scene = _configure(size_px, samples, seed)
    lit = {thing.name: thing for thing in scene.objects if thing.type == "LIGHT"} | {"Environment": scene.world}
    for name, source in lit.items():
        scene.view_layers[0].lightgroups.add(name=name)
        source.lightgroup = name
    passes = [f"Combined_{name}" for name in lit]
    with tempfile.TemporaryDirectory() as scratch:
        _denoise(scene, passes, scratch)
        layers = _path_trace(scene, scratch)
        groups, alpha = _denoised(scratch, passes, layers["Combined.A"])
    _write_mask(layers, mask_path)
    return dict(zip(lit, map(_averaged, groups))), _averaged(alpha)


def _colour(planes, name):
    return np.stack([planes[f"{name}.{channel}"] for channel in "RGB"], 2)


def _denoised(folder, names, alpha):
    """([linear [H, W, 3] of each name], alpha [H, W]) of what `_denoise` had written; `alpha` is the traced one, which is kept
    inside and outside the silhouette."""
    planes = read_exr(Path(folder) / "denoised.exr")
    even = ndimage.maximum_filter(alpha, 3) == ndimage.minimum_filter(alpha, 3)
    return [_colour(planes, name).clip(0) for name in names], np.where(even, alpha, planes["Alpha.R"]).clip(0, 1)


def _denoise(scene, names, folder):
    """Has the compositor denoise passes of the render, with albedo and normals as guides, into `folder/denoised.exr`.

    Alpha is denoised as well: strands cover pixels by chance, and over another background that noise is a rim of specks.
    """
    scene.view_layers[0].cycles.denoising_store_passes = True
    scene.render.use_compositing = True
    scene.compositing_node_group = bpy.data.node_groups.new("Denoise", "CompositorNodeTree")
    nodes, links = scene.compositing_node_group.nodes, scene.compositing_node_group.links
    layers, output = nodes.new("CompositorNodeRLayers"), nodes.new("CompositorNodeOutputFile")
    _write_layers(output.format)
    output.directory, output.file_name = folder, "denoised"
    for name in [*names, "Alpha"]:
        denoise = nodes.new("CompositorNodeDenoise")
        links.new(layers.outputs[name], denoise.inputs["Image"])
        # Alpha would take over the noise that strands' guides are.
        for guide in ("Albedo", "Normal") if name != "Alpha" else ():
            links.new(layers.outputs[f"Denoising {guide}"], denoise.inputs[guide])
        output.file_output_items.new("RGBA", name)
        links.new(denoise.outputs["Image"], output.inputs[name])
