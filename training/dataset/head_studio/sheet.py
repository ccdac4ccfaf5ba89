"""One picture of the references of a data folder, to look at: display-referred sRGB without a tone mapper."""

import json
import math

import numpy as np
from PIL import Image

from . import pairs, storage
from .export import to_srgb
from .exr import read_exr

MANY = 24                      # references on a sheet, at most
COLUMNS = 3


def _planes(path, names):
    planes = read_exr(path)
    return np.stack([planes[name] for name in names], 2)


def shown(data, folder):
    """The reference [H, W, 3] of a finished seed over its background, at its exposure, as sRGB 0..1."""
    scene = json.loads(storage.read_text(folder / "scene.json"))
    image, background = _planes(folder / "reference.exr", "RGBA"), scene["background"]
    if background["kind"] == "image":
        behind = _planes(data / background["file"], "RGB")
    else:
        down = ((np.arange(len(image)) + 0.5) / len(image))[:, None, None]
        top, bottom = (np.array(background[edge]) for edge in ("top_linear", "bottom_linear"))
        behind = top + (bottom - top) * down
    return to_srgb((image[..., :3] + (1 - image[..., 3:]) * behind) * 2.0 ** scene["rendering"]["exposure_ev"])


def write_sheet(data, path):
    """Writes the references of a data folder side by side, in the order of their seeds."""
    found = data.iterdir() if data.is_dir() else ()
    folders = sorted(folder for folder in found if storage.is_finished(folder, pairs.FILES))[:MANY]
    if not folders:
        raise storage.UsageError(f"--data: {data} has no finished scene; expected some that `import` or `render` made")
    images = [Image.fromarray((shown(data, folder) * 255 + 0.5).astype(np.uint8)) for folder in folders]
    side, columns = max(image.width for image in images), min(COLUMNS, len(images))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(images) / columns) * side))
    for at, image in enumerate(images):
        sheet.paste(image, (at % columns * side, at // columns * side))
    with storage.replacing(path) as temporary:
        sheet.save(temporary)
