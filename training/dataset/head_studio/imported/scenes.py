"""Makes one seed of an imported head: the same files as `pairs.make_pair`, from the same cameras, lamps and surroundings."""

import hashlib
import json
import unicodedata
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from .. import blender, library, lighting, pairs, reference, storage
from ..assets import Assets
from ..variation import draw_variation, even_light, has_own_lamps
from . import shading
from .copy import write_copy
from .figure import pose

FIRST_IDENTITY = 10**9         # beyond every number that a seed of our own people can have


@dataclass(frozen=True)
class GameIdentity:
    """Whose head it is: a number from the file's name, and the file."""

    number: int
    file: str
    sha256: str


def _name(file):
    """The file's name without its ending, in one Unicode form: copying between systems changes the form, not the head."""
    return unicodedata.normalize("NFC", Path(file).stem)


def identity_of(imported):
    return GameIdentity(FIRST_IDENTITY + zlib.crc32(_name(imported.path).encode()), imported.path.name, imported.sha256)


def source_of(file):
    """The name that `scene.json` gives a head's file."""
    return f"game:{_name(file)}"


def is_made(out, seed, file, size_px, samples, light_groups):
    """True when the seed is finished, from this very head. One of another head is an error: it is not replaced."""
    if not pairs.is_made(out, seed, size_px, samples, light_groups):
        return False
    _refuse_other_head(pairs.seed_folder(out, seed), file)
    return True


def is_current(out, seed, file, made_of, size_px, samples, light_groups):
    """True when the seed is finished, from this very file with these settings (`made_of`) and options; else it is made again.
    One of another head is an error."""
    folder = pairs.seed_folder(out, seed)
    if not storage.is_finished(folder, pairs.FILES):
        return False
    made = _refuse_other_head(folder, file)
    light_groups = light_groups and not has_own_lamps(made.get("light_kind", ""))
    return ((made["size_px"], "light_groups" in made) == (size_px, light_groups)
            and made.get("cycles") == reference.cycles_settings(samples, seed) and made.get("made_of") == made_of)


def _refuse_other_head(folder, file):
    """What `scene.json` says, unless it is of another head."""
    made = json.loads(storage.read_text(folder / "scene.json"))
    found = made.get("source", "own")
    if found != source_of(file):
        raise storage.UsageError(f"{folder} was made from {found}, not from {source_of(file)}; finished seeds are never "
                                 "replaced: choose other --seeds or another --out")
    return made


def made_of(file_sha256, settings):
    """What a scene depends on besides its seed and the options: digests of the file and of what its settings say."""
    told = asdict(settings)
    lights = told["lights"]
    lights["surroundings"] = sorted(lights["surroundings"])
    # Left out where there are none: scenes from before there could be any are what they would be now.
    if lamps := lights.pop("lamps"):
        lights["lamps"] = {kind: file["digest"] for kind, file in lamps.items()}
    text = json.dumps(told, sort_keys=True)
    return {"file_sha256": file_sha256, "settings_sha256": hashlib.sha256(text.encode()).hexdigest()}


def write_own_surroundings(out, own):
    """Writes the surroundings {name: file} that settings bring, where they are not there yet."""
    for name in own:
        library.environment_file(out, name, own=own)


def make_scene(out, seed, imported, size_px, samples, light_groups=False, assets=None):
    """Makes or re-makes one seed; with `light_groups` so that it can be lit anew, with surroundings from `assets`. Under a game's own
    lamps there are no light groups: lighting anew would draw the balance and the colours that such lamps are given for."""
    assets = assets or Assets()
    chosen = imported.settings.lights
    variation = draw_variation(seed, library.pack_surroundings(assets), chosen.choice())
    light_groups = light_groups and not has_own_lamps(variation.light_kind)
    folder = pairs.seed_folder(out, seed)
    folder.mkdir(parents=True, exist_ok=True)
    blender.fresh_scene()
    environment_file = library.environment_file(out, variation.environment, assets, chosen.surroundings)
    environment_image = library.environment_image(out / environment_file)
    figure = pose(imported, variation.expression, variation.gaze_deg)
    variation = replace(variation, expression=figure.expression)
    target, albedo = figure.gaze_point(), imported.skin_luminance()
    camera = lighting.aim_camera(variation, target)
    light = lambda variation: lighting.light_face(variation, target, environment_image, environment_file,
                                                  pairs.wanted_irradiance(albedo, variation.exposure_jitter),
                                                  imported.lamps.get(variation.light_kind, ()))
    lights, environment = light(variation)
    even = light(even_light(variation)) if light_groups else None
    with storage.replacing(folder / "scene.glb") as path:
        write_copy(path, figure)
    background = pairs.background_of(folder, variation, camera, environment, environment_image, size_px)
    scene = pairs.scene_json(identity_of(imported), figure, variation, camera, lights, environment, background, size_px,
                             samples)
    scene |= {"source": source_of(imported.path), "made_of": made_of(imported.sha256, imported.settings),
              "assets": assets.record(library.surroundings_used(assets, variation.environment))}
    if light_groups:
        share = even_light(variation).environment_share * pairs.wanted_irradiance(albedo)
        scene["light_groups"] = pairs.light_groups_json(*even, share, target)
    storage.write_json(folder / "scene.json", scene)
    shading.add_figure(figure)
    reference.add_lights(*(even or (lights, environment)), out / environment_file)
    blender.set_camera(camera)
    if light_groups:
        groups, image = pairs.trace_groups(folder, even, (lights, environment), size_px, samples, seed)
    else:
        groups, image = (), reference.render(folder, "reference.exr", size_px, samples, seed, mask_name="mask.png")
    if not np.isfinite(image).all() or image[..., 3].max() < 0.5:
        raise RuntimeError("the reference image is empty or not finite")
    surroundings = ("background.exr",) if background["kind"] == "image" else ()
    storage.finish(folder, pairs.FILES + surroundings + groups)
