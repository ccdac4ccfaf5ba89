"""References that are rendered elsewhere: cameras and posed heads for them, and the way back of the images.

Scenes are finished seeds of a data folder. Their own references, of a few samples, say where the head is in the image and how
bright it is.
"""

import json
import shutil

import numpy as np

from .. import pairs, storage
from ..exr import UNREADABLE, read_exr, write_exr
from ..gltf import Buffer, write_document
from ..lighting import LUMINANCE
from .glb import read_glb

CAMERAS = "cameras.json"
SILHOUETTE_ALPHA = 0.5
WORST_OVERLAP = 0.9            # of the silhouettes, intersection over union
EXPOSURES = (0.5, 2.0)         # mean luminance over our own reference's
TOLD = 8                       # images that an error names, at most


def _scenes(data):
    """The folders of a data folder's finished seeds, in order."""
    found = sorted(folder for folder in data.iterdir() if storage.is_finished(folder, pairs.FILES)) if data.is_dir() else []
    if not found:
        raise storage.UsageError(f"{data}: has no finished scene; expected those of `import`: export cameras first")
    return found


def _write_with_camera(path, scene_glb, camera):
    """The scene's GLB with a camera in it, which 3D programs import."""
    found = read_glb(scene_glb)
    document = dict(found.json)
    document["cameras"] = [{"type": "perspective", "perspective": {"aspectRatio": 1.0, "yfov": camera["fov_y_rad"],
                                                                     "znear": camera["near_m"]}}]
    document["nodes"] = [*document["nodes"], {"name": "Camera", "camera": 0, "translation": camera["position"],
                                              "rotation": camera["rotation_xyzw"]}]
    document["scenes"] = [{"nodes": list(range(len(document["nodes"])))}]
    buffer = Buffer()
    buffer.chunks, buffer.views, buffer.accessors = [found.binary], document["bufferViews"], document["accessors"]
    with storage.replacing(path) as temporary:
        write_document(temporary, document, buffer)


def export_cameras(data, out):
    """Writes `<seed>.glb` of every scene, head and camera, and `cameras.json` with cameras, lamps and surroundings."""
    entries = []
    for folder in _scenes(data):
        scene = json.loads(storage.read_text(folder / "scene.json"))
        _write_with_camera(out / f"{folder.name}.glb", folder / "scene.glb", scene["camera"])
        kept = ("size_px", "split", "camera", "lights", "environment", "expression", "gaze_deg")
        entries.append({"image": f"{folder.name}.exr", "scene": f"{folder.name}.glb"} | {name: scene[name] for name in kept})
    storage.write_json(out / CAMERAS, entries)
    return len(entries)


def read_image(path, size_px):
    """The linear, premultiplied [H, W, 4] of an image that came back, or a sentence about what is wrong with it."""
    if not path.exists():
        others = sorted(other.name for other in path.parent.glob(f"{path.stem}.*"))
        return "missing" + (f", but there is {others[0]}: expected linear light, as OpenEXR has it" if others else "")
    try:
        planes = read_exr(path)
    except UNREADABLE as error:
        return f"no OpenEXR file that can be read ({error}); expected one part of scanlines, half or float, stored plainly or by ZIP"
    if missing := [name for name in "RGBA" if name not in planes]:
        return f"no channel {missing[0]}, but {', '.join(planes)}; expected R, G, B and A of a transparent background"
    image = np.stack([planes[name] for name in "RGBA"], 2)
    if image.shape[:2] != (size_px, size_px):
        return f"{image.shape[1]} x {image.shape[0]} pixels; expected {size_px} x {size_px}"
    return image if np.isfinite(image).all() else "values that are not finite"


def fault(image, own):
    """What is wrong with an image [H, W, 4] beside our own reference of its scene; None where it fits."""
    there, wanted = (picture[..., 3] >= SILHOUETTE_ALPHA for picture in (image, own))
    if not there.any():
        return "nothing is opaque in it; expected a head over a transparent background"
    overlap = (there & wanted).sum() / (there | wanted).sum()
    if overlap < WORST_OVERLAP:
        down, right = (np.argwhere(there).mean(0) - np.argwhere(wanted).mean(0)).round(1)
        larger = np.sqrt(there.sum() / max(wanted.sum(), 1))
        return (f"its silhouette overlaps the camera's by {overlap:.2f}; expected {WORST_OVERLAP} or more; it lies {right:g} px "
                f"right and {down:g} px below, {larger:.2f} times as large")
    both = there & wanted
    ratio = (image[both][:, :3] @ LUMINANCE).mean() / max((own[both][:, :3] @ LUMINANCE).mean(), 1e-9)
    if not EXPOSURES[0] <= ratio <= EXPOSURES[1]:
        return (f"it is {ratio:.2f} times as bright as the camera's own reference; expected {EXPOSURES[0]:g} to {EXPOSURES[1]:g}: "
                "linear light, the lamps of cameras.json, no exposure and no tone mapper")
    return None


def _own(folder):
    planes = read_exr(folder / "reference.exr")
    return np.stack([planes[name] for name in "RGBA"], 2)


def _take_one(folder, target, source, image, data, out):
    """Makes a scene with this image as its reference, unless it is there already."""
    brought = {"image": storage.fingerprint(source), "scene": storage.fingerprint(folder / storage.MANIFEST)}
    scene = json.loads(storage.read_text(folder / "scene.json")) | {"brought": brought}
    if storage.is_finished(target, pairs.FILES) and json.loads(storage.read_text(target / "scene.json")) == scene:
        return
    target.mkdir(parents=True, exist_ok=True)
    extra = ("background.exr",) if scene["background"]["kind"] == "image" else ()
    for origin, copy in [(folder / name, target / name) for name in ("scene.glb", "mask.png", *extra)] + [
            (data / scene["environment"]["file"], out / scene["environment"]["file"])]:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with storage.replacing(copy) as temporary:
            shutil.copyfile(origin, temporary)
    with storage.replacing(target / "reference.exr") as temporary:
        write_exr(temporary, image)
    storage.write_json(target / "scene.json", scene)
    storage.finish(target, pairs.FILES + extra)


def take(images, data, out):
    """Makes a data folder of the scenes of another one with the references in the folder `images`, `<seed>.exr`. All of them are
    checked before the first is taken; their number is returned."""
    folders, faults, taken = _scenes(data), [], []
    for folder in folders:
        source = images / f"{folder.name}.exr"
        image = read_image(source, json.loads(storage.read_text(folder / "scene.json"))["size_px"])
        wrong = image if isinstance(image, str) else fault(image, _own(folder))
        if wrong:
            faults.append(f"{source.name}: {wrong}")
        taken.append((folder, source))
    if faults:
        more = f"\n  and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        raise storage.UsageError(f"{images}: {len(faults)} of {len(folders)} references cannot be taken:\n  "
                                 + "\n  ".join(faults[:TOLD]) + more)
    for folder, source in taken:
        size_px = json.loads(storage.read_text(folder / "scene.json"))["size_px"]
        _take_one(folder, out / folder.name, source, read_image(source, size_px), data, out)
    return len(taken)
