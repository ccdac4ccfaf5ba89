"""An imported head made ready for seeds, and that head in one expression."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import masks
from ..eyes import gaze_rotation
from . import images, lamps, mending, morphs, occlusion, parts, placement, roles, settings, several_heads, skin_regions
from .glb import read_glb
from .looks import look_of, texture_places

NEUTRAL_MORPH_M = 1e-6


@dataclass
class Imported:
    """A file's head: mended parts, landmarks, skin's regions by material, and the images that the copy gets."""

    path: Path
    document: object
    settings: settings.Settings
    head: placement.Head
    units: dict                # morph target -> ARKit units
    regions: dict              # material -> skin_regions.SkinRegions
    images: dict               # image index -> encoded bytes of the mended image
    occlusion: dict            # material -> encoded bytes of its baked occlusion
    lamps: dict                # kind of light -> the game's own lamps about the head
    sha256: str

    def skin_luminance(self):
        """Mean albedo luminance of the face."""
        from ..lighting import LUMINANCE

        found = [region.face_colour_linear for region in self.regions.values()]
        if not found:
            looks = [look_of(self.document, part.material) for part in self.head.parts if part.role == "skin"]
            found = [_mean_colour(self.document, look) for look in looks]
        return float(np.clip(np.mean(found, 0) @ LUMINANCE, 0.02, 0.9))


@dataclass
class Figure:
    """A head in an expression: the parts, with the place and normal of each of their vertices."""

    imported: Imported
    parts: list
    positions: list
    normals: list
    gaze: np.ndarray           # rotation [3, 3] of the eyes
    expression: dict           # the ARKit units that the file can make

    def face_box(self):
        """Centre and half extents [3] of the head's skin above the neck."""
        skin = np.concatenate([positions for part, positions in zip(self.parts, self.positions) if part.role == "skin"])
        above = skin[masks.above_neck(self.imported.head.rest(skin))]
        above = above if len(above) else skin
        low, high = above.min(0), above.max(0)
        return (low + high) / 2, (high - low) / 2

    def gaze_point(self):
        return self.imported.head.gaze_point()


def _mean_colour(document, look):
    factor = np.array(look.colour_linear[:3])
    if look.colour_image is None:
        return factor
    return images.linear(images.decode(document, look.colour_image)[..., :3] / 255.0).mean((0, 1)) * factor


def _regions(document, head, chosen):
    """{material: regions} of the skin parts that have a texture."""
    own_cloth = any(part.role == "cloth" for part in head.parts)
    found = {}
    for part in head.parts:
        look = look_of(document, part.material)
        if part.role != "skin" or look.colour_image is None or part.material in found:
            continue
        image = images.decode(document, look.colour_image)
        region = skin_regions.find_regions(part, head, look, image, chosen.atlas_has_cloth and not own_cloth)
        if region is not None:
            found[part.material] = region
    return found


def _padded_images(document, head):
    """{image: encoded bytes} of the images whose space between the islands has been filled."""
    covered, kept = {}, {}
    for part in head.parts:
        look = look_of(document, part.material)
        for index in {look.colour_image, look.normal_image, look.surface_image} - {None}:
            if index not in kept:
                kept[index] = images.decode(document, index)
            size = kept[index].shape[:2]
            mask = covered.setdefault(index, np.zeros(size, bool))
            if part.uvs is None:
                mask[:] = True
            else:
                mask |= skin_regions.coverage(texture_places(look, part.uvs), part.triangles, size)
    made = {}
    for index, image in kept.items():
        if image.shape[2] == 3 and not covered[index].all():
            made[index] = images.encode(images.padded(image, covered[index]))
    return made


@functools.lru_cache(maxsize=1)
def import_head(path, toml=None):
    """Reads, names, places and mends the head of a GLB file; `toml` are its settings instead of those beside it."""
    path = Path(path)
    document = read_glb(path, toml)
    chosen = settings.read_settings(document.toml)
    found = parts.read_parts(document, chosen.placement.nodes)
    roles.assign_roles(document, found, chosen.roles)
    several_heads.refuse(document, found)
    head = placement.place(found, chosen.placement, document)
    own_lamps = lamps.lamps_about(head, chosen.lights.lamps)
    head.parts = [mending.without_slivers(part) for part in head.parts]
    head.parts = [mending.split_where_mirrored(part) for part in mending.without_cracks(head.parts)]
    units = morphs.units_of_targets(document.toml, head.parts, chosen.morphs)
    return Imported(path, document, chosen, head, units, _regions(document, head, chosen.skin),
                    _padded_images(document, head), occlusion.bake(document, head), own_lamps,
                    hashlib.sha256(path.read_bytes()).hexdigest())


def _turned_eyes(head, positions, normals, rotation):
    """The vertices of eyes, each turned about the nearer eyeball's centre."""
    centres = np.stack([eye.centre_m for eye in head.eyes])
    nearest = centres[np.linalg.norm(positions[:, None] - centres, axis=2).argmin(1)]
    return (positions - nearest) @ rotation.T + nearest, normals @ rotation.T


def pose(imported, expression, gaze_deg):
    """The head with an expression {ARKit unit: weight}, as far as the file has it, and a gaze, if it has eyes."""
    head, weights = imported.head, morphs.target_weights(imported.units, expression)
    rotation = gaze_rotation(gaze_deg) if head.found_eyes else np.eye(3)
    positions, normals = [], []
    for part in head.parts:
        offset = sum(weights[name] * offsets for name, offsets in part.morphs.items() if name in weights)
        moves = not np.isscalar(offset) and abs(offset).max(initial=0.0) > NEUTRAL_MORPH_M
        placed = part.positions + offset if moves else part.positions
        turned = mending.bent_normals(part, placed)
        if part.role in ("eye", "cornea") and head.found_eyes:
            placed, turned = _turned_eyes(head, placed, turned, rotation)
        positions.append(placed)
        normals.append(turned)
    made = {unit for units in imported.units.values() for unit in units}
    return Figure(imported, head.parts, positions, normals, rotation,
                  {name: weight for name, weight in expression.items() if name in made})
