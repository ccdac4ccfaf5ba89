"""Writes the TOML of a GLB with every setting, what it means, and what was found in the file."""

import json
from pathlib import Path

from .. import storage
from ..variation import DISPLAY, LIGHT
from .glb import read_glb
from .lamps import MAX_LAMPS
from .morphs import units_of_targets
from .parts import read_parts
from .roles import ROLES, found_roles
from .settings import read_settings, toml_of

TEXT = """\
# The look of {name} in its references, and where its head is. Written once, with every default: change what you like. Lines that
# begin with # say what was found in the file, or are examples. What depends on a change is made anew.

[roles]     # Material or node = {roles}.
{roles_found}

[morphs]    # Morph target = ARKit's name for what it moves.
{morphs_found}

[placement] # Found from eyes and body; say it where it is found wrongly.
{placement}

[skin]
# How far red light travels under the skin, in metres on a head of people's size: more is softer.
scattering_m = {skin.scattering_m}
# Share of the light that goes under the skin, 0 (clay) to 1 (skin).
scattering = {skin.scattering}
# Factor on the file's roughness, 0.2 to 5: below 1 the skin shines more.
roughness = {skin.roughness}
# Factor on the texture's colour, 0.2 to 5: how far the reference may differ from the texture. Path tracing loses light under the
# skin; with the default a cheek is as bright as in the game.
brightness = {skin.brightness}
# Look for cloth and painted hair in the skin's own texture, where the file has no cloth.
atlas_has_cloth = {atlas}

[eyes]
# 0 is a dry eye, 1 a wet one with sharp highlights.
wetness = {eyes.wetness}

[hair]      # Straight, smooth hair: lower roughness and higher anisotropy. Curls, felt and fur: the other way round.
# 0 to 1: width of the highlight.
roughness = {hair.roughness}
# 0 to 1: from a round highlight to a line across the strands.
anisotropy = {hair.anisotropy}
# Share of the light that passes through, 0 to 1.
translucency = {hair.translucency}
# Factor on the texture's colour, 0.2 to 5.
brightness = {hair.brightness}

[lights]    # Empty lists mean everything that the general weights were trained on.
# Any of {kinds},
# and the sets of lamps below, such as "lamps:street" of street.glb.
kinds = {chosen_kinds}
# The tone mappers of the game's cameras, any of {tone_mappings}.
tone_mappings = {chosen_tone_mappings}
# The game's own surroundings: equirectangular .hdr or .exr files, seen from this file's folder. They light the training scenes;
# figures are measured in other surroundings.
surroundings = {surroundings}
# The game's own lamps: .glb or .gltf files, seen from this file's folder, with 1 to {max_lamps} directional, point or spot lights that
# stand about the character as its own file has it: the same origin, axes and unit. Each file is one more kind of light, in training
# and in what is measured. Colours and strengths beside each other stay; together they are brought to the exposures of other kinds.
lamps = {lamps}
"""
PLACEMENT = (("rotate_deg", [0.0, 0.0, 0.0], "about x, then y, then z: brings the head's top to +Y and its face to +Z"),
             ("metres_per_unit", 1.0, ""), ("eyes", [[0.03, 1.6, 0.1], [-0.03, 1.6, 0.1]],
                                            "centres, after rotation and in metres, where eyes are painted on"),
             ("nodes", ["Hero"], "only these nodes and what is below them: a file of several heads needs it"))


def _value(value):
    """As TOML, of which JSON's strings, numbers and lists are a part."""
    return json.dumps(value, ensure_ascii=False)


def _lines(told, found, note=""):
    lines = [f"{_value(name)} = {_value(value)}" for name, value in told.items()]
    lines += [f"# {_value(name)} = {_value(value)}" for name, value in found.items() if name not in told]
    return "\n".join([*lines, *([note] if note else [])]) or "# The file has none."


def _morphs(document, parts, told):
    units = units_of_targets(document.toml, parts, {})
    unknown = sorted({name for part in parts for name in part.morphs} - set(units) - set(told))
    note = f"# Not understood: {', '.join(map(_value, unknown))}" if unknown else ""
    return _lines(told, {name: " and ".join(made) for name, made in units.items()}, note)


def _placement(chosen):
    lines = []
    for key, example, note in PLACEMENT:
        value = getattr(chosen, key)
        mark = "# " if value is None else ""
        lines.append(f"{mark}{key} = {_value(example if value is None else value)}" + (f"    # {note}" if note else ""))
    return "\n".join(lines)


def text_of(document, settings):
    """The TOML of a GLB with these settings."""
    parts = read_parts(document)
    names = lambda chosen: ", ".join(chosen)
    return TEXT.format(
        name=document.path.name, roles=names(ROLES), roles_found=_lines(settings.roles, found_roles(document, parts)),
        morphs_found=_morphs(document, parts, settings.morphs), placement=_placement(settings.placement), skin=settings.skin,
        atlas=_value(settings.skin.atlas_has_cloth), eyes=settings.eyes, hair=settings.hair, kinds=names(LIGHT["kinds"]),
        tone_mappings=names(DISPLAY["tone_mappings"]), chosen_kinds=_value(list(settings.lights.kinds)),
        chosen_tone_mappings=_value(list(settings.lights.tone_mappings)),
        surroundings=_value(list(settings.lights.surroundings.values())), max_lamps=MAX_LAMPS,
        lamps=_value([file.path for file in settings.lights.lamps.values()]))


def write_unless_there(glb, toml):
    """Writes the TOML of a GLB where there is none yet, with what the TOML beside the GLB says. True if it was written."""
    toml = Path(toml)
    if toml.exists():
        return False
    document = read_glb(glb, toml)
    text = text_of(document, read_settings(toml_of(glb)))
    toml.parent.mkdir(parents=True, exist_ok=True)
    storage.write_bytes(toml, text.encode())
    return True
