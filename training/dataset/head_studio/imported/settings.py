"""Settings of a GLB from the TOML beside it: `hero.toml` for `hero.glb`. Every table and key is optional.

    [roles]                          # material or node -> skin, eye, hair, cloth, ... (`roles.py`)
    "Material.003" = "cloth"
    [morphs]                         # the file's morph target -> ARKit's name
    "Smile_L" = "mouthSmileLeft"
    [placement]
    rotate_deg = [-90.0, 0.0, 0.0]   # about x, then y, then z: brings the head's top to +Y and its face to +Z
    metres_per_unit = 0.01
    eyes = [[0.03, 1.6, 0.1], [-0.03, 1.6, 0.1]]     # centres, after rotation and in metres, where eyes are painted on
    nodes = ["Hero"]                 # take only these nodes and what is below them: a file of several heads needs it
    [skin]
    scattering_m = 0.0024            # how far red light travels under the skin
    atlas_has_cloth = true           # look for cloth and painted hair in the skin's own texture
"""

import tomllib
from dataclasses import dataclass, field, fields

from ..materials import SUBSURFACE_SCALE_M
from ..storage import UsageError, read_text


@dataclass(frozen=True)
class Placement:
    """The way from the file's space to ours; None means found from the geometry."""

    rotate_deg: tuple | None = None
    metres_per_unit: float | None = None
    eyes: tuple | None = None
    nodes: tuple | None = None


@dataclass(frozen=True)
class SkinSettings:
    """The look of skin in the reference."""

    scattering_m: float = SUBSURFACE_SCALE_M
    atlas_has_cloth: bool = True


@dataclass(frozen=True)
class Settings:
    """Everything that a TOML may say."""

    roles: dict = field(default_factory=dict)
    morphs: dict = field(default_factory=dict)
    placement: Placement = Placement()
    skin: SkinSettings = SkinSettings()


def _table(path, name, kind, found):
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {name} is {found!r}; expected a table [{name}]")
    known = {entry.name for entry in fields(kind)}
    if unknown := sorted(set(found) - known):
        raise UsageError(f"{path}: [{name}] has no key {unknown[0]!r}; expected {', '.join(sorted(known))}")
    return found


def _numbers(path, name, value, count):
    if not (isinstance(value, list) and len(value) == count and all(isinstance(x, (int, float)) for x in value)):
        raise UsageError(f"{path}: {name} is {value!r}; expected {count} numbers")
    return tuple(map(float, value))


def _positive(path, name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise UsageError(f"{path}: {name} is {value!r}; expected a number above 0")
    return float(value)


def _placement(path, found):
    made = {}
    if "rotate_deg" in found:
        made["rotate_deg"] = _numbers(path, "placement.rotate_deg", found["rotate_deg"], 3)
    if "metres_per_unit" in found:
        made["metres_per_unit"] = _positive(path, "placement.metres_per_unit", found["metres_per_unit"])
    if "eyes" in found:
        eyes = found["eyes"]
        if not isinstance(eyes, list) or len(eyes) != 2:
            raise UsageError(f"{path}: placement.eyes is {eyes!r}; expected two points of three numbers")
        made["eyes"] = tuple(_numbers(path, "placement.eyes", eye, 3) for eye in eyes)
    if "nodes" in found:
        nodes = found["nodes"]
        if not isinstance(nodes, list) or not nodes or not all(isinstance(name, str) for name in nodes):
            raise UsageError(f"{path}: placement.nodes is {nodes!r}; expected a list of names of nodes")
        made["nodes"] = tuple(nodes)
    return Placement(**made)


def _strings(path, name, found):
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UsageError(f"{path}: [{name}] expected \"name\" = \"name\" lines, found {found!r}")
    return found


def read_settings(glb):
    """The settings of a GLB: those of the TOML beside it, or the defaults."""
    path = glb.with_suffix(".toml")
    if not path.exists():
        return Settings()
    try:
        found = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: is no readable TOML: {error}") from error
    found = _table(path, "tables", Settings, found)
    skin = dict(_table(path, "skin", SkinSettings, found.get("skin", {})))
    if "scattering_m" in skin:
        skin["scattering_m"] = _positive(path, "skin.scattering_m", skin["scattering_m"])
    if not isinstance(skin.get("atlas_has_cloth", True), bool):
        raise UsageError(f"{path}: skin.atlas_has_cloth is {skin['atlas_has_cloth']!r}; expected true or false")
    return Settings(_strings(path, "roles", found.get("roles", {})), _strings(path, "morphs", found.get("morphs", {})),
                    _placement(path, _table(path, "placement", Placement, found.get("placement", {}))),
                    SkinSettings(**skin))
