"""Makes one seed's folder: `scene.glb`, `scene.json`, `reference.exr`, `mask.png`, maybe `background.exr`, then
`done.json`."""

import json

import numpy as np

from . import blender, export, library, lighting, masks, reference, storage
from .eyes import eye_albedo
from .exr import write_exr
from .gltf import write_glb
from .identity import VARIATIONS_PER_IDENTITY, as_json, draw_identity, identity_of
from .scene import build_figure
from .texture_space import texture_space
from .variation import draw_clip_frame, draw_variation, split_of

FILES = ("scene.glb", "scene.json", "reference.exr", "mask.png")
SCENE_FORMAT = 2
MEAN_SKIN_LUMINANCE = 0.34     # wanted for an albedo of REFERENCE_ALBEDO
REFERENCE_ALBEDO = 0.36
EXPOSURE_FOR_SKIN = 0.5        # 0 exposes all skin alike, 1 ignores the skin's tone


def skin_luminance(textures):
    """Mean albedo luminance of the front of the face."""
    space = texture_space(textures.roughness.shape[0])
    face = masks.blob(space.rest, (0, 7.0, 1.5), (0.7, 0.8, 0.6)) > 0.3
    return float(textures.albedo_linear[space.covered][face].mean(0) @ lighting.LUMINANCE)


def wanted_irradiance(albedo, jitter=1.0):
    """Irradiance at which skin of this albedo has a photographer's exposure: dark skin stays darker."""
    luminance = MEAN_SKIN_LUMINANCE * (albedo / REFERENCE_ALBEDO) ** EXPOSURE_FOR_SKIN * jitter
    return np.pi * luminance / albedo


def scene_json(identity, figure, variation, camera, lights, environment, background, size_px, samples):
    """The scene description that the Bevy side reads; all vectors in glTF space."""
    centre, half = figure.face_box()
    return {
        "format": SCENE_FORMAT, "seed": variation.seed, "identity": identity.number, "size_px": size_px,
        "samples": samples, "split": split_of(variation.seed)[0],
        "camera": camera.as_json(), "lights": [light.as_json() for light in lights],
        "environment": environment.as_json(), "background": background, "rendering": as_json(variation.rendering),
        "face": {"center": centre.tolist(), "half_extents": half.tolist()}, "light_kind": variation.light_kind,
        "expression": variation.expression, "gaze_deg": list(variation.gaze_deg),
        "identity_parameters": as_json(identity), "cycles": reference.cycles_settings(samples, variation.seed),
    }


def gradient(variation):
    """The variation's background as a gradient."""
    return {"kind": "gradient", "bottom_linear": list(variation.background_bottom_linear),
            "top_linear": list(variation.background_top_linear)}


def _background(folder, variation, camera, environment, environment_image, size_px):
    """What `scene.json` says of the background; the surroundings are written to `background.exr`."""
    if variation.background_kind == "gradient":
        return gradient(variation)
    image = lighting.seen_behind(environment_image, environment, camera, size_px, variation.background_blur_deg)
    with storage.replacing(folder / "background.exr") as path:
        write_exr(path, np.minimum(image, 60.0))
    return {"kind": "image", "file": f"{folder.name}/background.exr"}


def seed_folder(out, seed):
    return out / f"{seed:08d}"


def is_made(out, seed, size_px, samples):
    """Whether a seed is finished. A finished one with other settings is an error: it is not replaced."""
    folder = seed_folder(out, seed)
    if not storage.is_finished(folder, FILES):
        return False
    made = json.loads((folder / "scene.json").read_text())
    if (made["size_px"], made["samples"]) != (size_px, samples):
        raise storage.UsageError(
            f"{folder} was made with --size {made['size_px']} --samples {made['samples']}, not --size {size_px} "
            f"--samples {samples}; finished seeds are never replaced: choose another --out")
    return True


def make_pair(out, seed, size_px, samples, texture_px, clip=False):
    """Makes or re-makes one seed; with `clip` as a frame of its identity's clip."""
    identity = draw_identity(identity_of(seed))
    variation = draw_clip_frame(seed) if clip else draw_variation(seed)
    folder = seed_folder(out, seed)
    folder.mkdir(parents=True, exist_ok=True)
    blender.fresh_scene()
    textures = library.identity_textures(out, identity, texture_px)
    environment_file = library.environment_file(out, variation.environment)
    environment_image = library.environment_image(out / environment_file)
    figure = build_figure(identity, variation.expression, variation.gaze_deg)
    target = figure.gaze_point()
    camera = lighting.aim_camera(variation, target)
    lights, environment = lighting.light_face(variation, target, environment_image, environment_file,
                                              wanted_irradiance(skin_luminance(textures), variation.exposure_jitter))
    albedo = eye_albedo(identity)
    with storage.replacing(folder / "scene.glb") as path:
        write_glb(path, export.figure_meshes(figure, export.skin_material(textures, identity), albedo))
    background = _background(folder, variation, camera, environment, environment_image, size_px)
    scene = scene_json(identity, figure, variation, camera, lights, environment, background, size_px, samples)
    if clip and seed % VARIATIONS_PER_IDENTITY > 0:
        scene["previous_camera"] = lighting.aim_camera(draw_clip_frame(seed - 1), target).as_json()
    storage.write_json(folder / "scene.json", scene)
    reference.add_figure(figure, textures, albedo)
    reference.add_lights(lights, environment, out / environment_file)
    blender.set_camera(camera)
    image = reference.render(folder, "reference.exr", size_px, samples, seed, mask_name="mask.png")
    if not np.isfinite(image).all() or image[..., 3].max() < 0.5:
        raise RuntimeError("the reference image is empty or not finite")
    storage.finish(folder, FILES)
