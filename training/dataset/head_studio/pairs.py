"""Makes one seed's folder: `scene.glb`, `scene.json`, `reference.exr`, `mask.png`, maybe `background.exr` and
`group_<name>.exr`, then `done.json`."""

import json

import numpy as np

from . import blender, export, library, lighting, masks, reference, storage
from .assets import Assets
from .eyes import eye_albedo, photo_eye_albedo
from .exr import write_exr
from .gltf import write_glb
from .identity import VARIATIONS_PER_IDENTITY, as_json, draw_identity, identity_of
from .look import draw_look
from .scene import build_figure
from .texture_space import texture_space
from .variation import draw_clip_frame, draw_variation, even_light, has_own_lamps, split_of
from .wear import draw_wear

FILES = ("scene.glb", "scene.json", "reference.exr", "mask.png")
SCENE_FORMAT = 3
MEAN_SKIN_LUMINANCE = 0.34     # wanted for an albedo of REFERENCE_ALBEDO
REFERENCE_ALBEDO = 0.36
EXPOSURE_FOR_SKIN = 0.5        # 0 exposes all skin alike, 1 ignores the skin's tone


def mean_skin(textures):
    """Mean linear albedo [3] of the front of the face."""
    space = texture_space(textures.roughness.shape[0])
    face = masks.blob(space.rest, (0, 7.0, 1.5), (0.7, 0.8, 0.6)) > 0.3
    return textures.albedo_linear[space.covered][face].mean(0)


def skin_luminance(textures):
    """Mean albedo luminance of the front of the face."""
    return float(mean_skin(textures) @ lighting.LUMINANCE)


def iris_albedo(identity, look):
    """Albedo of the eyes: the look's picture, or a procedural one."""
    return photo_eye_albedo(look.iris, identity.eye_colour) if look.iris else eye_albedo(identity)


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


def background_of(folder, variation, camera, environment, environment_image, size_px):
    """The entry of the background in `scene.json`; the surroundings are written to `background.exr`."""
    if variation.background_kind == "gradient":
        return gradient(variation)
    image = lighting.seen_behind(environment_image, environment, camera, size_px, variation.background_blur_deg)
    with storage.replacing(folder / "background.exr") as path:
        write_exr(path, np.minimum(image, 60.0))
    return {"kind": "image", "file": f"{folder.name}/background.exr"}


def seed_folder(out, seed):
    return out / f"{seed:08d}"


def is_made(out, seed, size_px, samples, light_groups=False):
    """True if a seed is finished. A finished one with other settings is an error: it is not replaced."""
    folder = seed_folder(out, seed)
    if not storage.is_finished(folder, FILES):
        return False
    made = json.loads(storage.read_text(folder / "scene.json"))
    if (made["size_px"], made["samples"]) != (size_px, samples):
        raise storage.UsageError(
            f"{folder} was made with --size {made['size_px']} --samples {made['samples']}, not --size {size_px} "
            f"--samples {samples}; finished seeds are never replaced: choose another --out")
    if made.get("cycles") != reference.cycles_settings(samples, seed):
        raise storage.UsageError(f"{folder} was traced with other settings of Cycles than today's ({made.get('cycles')} in its "
                                 "scene.json); finished seeds are never replaced: choose another --out")
    if light_groups and "light_groups" not in made and not has_own_lamps(made.get("light_kind", "")):
        raise storage.UsageError(f"{folder} was made without --light-groups; finished seeds are never replaced: choose "
                                 "another --out, or leave the option out")
    return True


def light_groups_json(lights, environment, irradiance, target_m):
    """`light_groups` of `scene.json`: the light that the groups were traced with, and what it sheds on the face."""
    shares = {light.name: light.irradiance(target_m) for light in lights} | {"Environment": irradiance}
    return {"lights": [light.as_json() for light in lights], "environment_strength": environment.strength,
            "irradiance": shares}


def _sum_of_groups(groups, alpha, even, drawn):
    """The reference [H, W, 4] under the drawn (lights, environment), from groups traced under the even ones."""
    strengths = {light.name: light.strength * np.array(light.colour_linear) for light in drawn[0]}
    weights = {light.name: strengths.get(light.name, np.zeros(3)) / light.strength for light in even[0]}
    weights["Environment"] = np.full(3, drawn[1].strength / even[1].strength)
    return np.dstack([sum(groups[name] * weight for name, weight in weights.items()), alpha])


def trace_groups(folder, even, drawn, size_px, samples, seed):
    """Writes `group_<name>.exr`, `reference.exr` and the mask; the names of the first, and the reference."""
    groups, alpha = reference.render_light_groups(folder / "mask.png", size_px, samples, seed)
    image = _sum_of_groups(groups, alpha, even, drawn)
    files = {f"group_{name.lower()}.exr": group for name, group in groups.items()}
    for name, content in (files | {"reference.exr": image}).items():
        with storage.replacing(folder / name) as path:
            write_exr(path, content)
    return tuple(files), image


def make_pair(out, seed, size_px, samples, texture_px, clip=False, light_groups=False, assets=None):
    """Makes or re-makes one seed; with `clip` as a frame of its identity's clip, with `light_groups` so that it can be lit
    anew, with `assets` from asset packs."""
    assets = assets or Assets()
    identity = draw_identity(identity_of(seed))
    look = draw_look(identity, assets)
    packs = library.pack_surroundings(assets)
    variation = draw_clip_frame(seed, packs) if clip else draw_variation(seed, packs)
    wear = draw_wear(seed - seed % VARIATIONS_PER_IDENTITY if clip else seed, variation.light_kind)
    folder = seed_folder(out, seed)
    folder.mkdir(parents=True, exist_ok=True)
    blender.fresh_scene()
    textures = library.identity_textures(out, identity, look, texture_px)
    environment_file = library.environment_file(out, variation.environment, assets)
    environment_image = library.environment_image(out / environment_file)
    figure = build_figure(identity, look, variation.expression, variation.gaze_deg, wear, mean_skin(textures))
    target = figure.gaze_point()
    camera = lighting.aim_camera(variation, target)
    albedo_luminance = skin_luminance(textures)
    light = lambda variation: lighting.light_face(
        variation, target, environment_image, environment_file,
        wanted_irradiance(albedo_luminance, variation.exposure_jitter))
    lights, environment = light(variation)
    even = light(even_light(variation)) if light_groups else None
    albedo, card_alpha = iris_albedo(identity, look), variation.rendering.card_alpha
    with storage.replacing(folder / "scene.glb") as path:
        # Some 36,000 triangles for the skin, as a game's head has them; normals and silhouette stay the fine mesh's.
        write_glb(path, export.figure_meshes(figure, export.skin_material(textures, figure), albedo, coarse_head=True,
                                             card_alpha=card_alpha))
    background = background_of(folder, variation, camera, environment, environment_image, size_px)
    scene = scene_json(identity, figure, variation, camera, lights, environment, background, size_px, samples)
    used = [*look.used, *library.surroundings_used(assets, variation.environment)]
    scene |= {"look": look.as_json(), "wear": wear, "assets": assets.record(used)}
    if clip and seed % VARIATIONS_PER_IDENTITY > 0:
        scene["previous_camera"] = lighting.aim_camera(draw_clip_frame(seed - 1, packs), target).as_json()
    if light_groups:
        share = even_light(variation).environment_share * wanted_irradiance(albedo_luminance)
        scene["light_groups"] = light_groups_json(*even, share, target)
    storage.write_json(folder / "scene.json", scene)
    reference.add_figure(figure, textures, albedo, card_alpha)
    reference.add_lights(*(even or (lights, environment)), out / environment_file)
    blender.set_camera(camera)
    if light_groups:
        groups, image = trace_groups(folder, even, (lights, environment), size_px, samples, seed)
    else:
        groups, image = (), reference.render(folder, "reference.exr", size_px, samples, seed, mask_name="mask.png")
    if not np.isfinite(image).all() or image[..., 3].max() < 0.5:
        raise RuntimeError("the reference image is empty or not finite")
    surroundings = ("background.exr",) if background["kind"] == "image" else ()
    storage.finish(folder, FILES + surroundings + groups)
