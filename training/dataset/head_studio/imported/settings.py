"""Settings of a GLB from a TOML: `hero.toml` beside `hero.glb`, or another that is named. Every table and key is optional.

    [roles]                          # material or node -> skin, eye, hair, cloth, ... (`roles.py`)
    "Material.003" = "cloth"
    [morphs]                         # the file's morph target -> ARKit's name
    "Smile_L" = "mouthSmileLeft"
    [placement]
    rotate_deg = [-90.0, 0.0, 0.0]   # about x, then y, then z: brings the head's top to +Y and its face to +Z
    metres_per_unit = 0.01
    eyes = [[0.03, 1.6, 0.1], [-0.03, 1.6, 0.1]]     # centres, after rotation and in metres, where eyes are painted on
    nodes = ["Hero"]                 # take only these nodes and what is below them: a file of several heads needs it

`template.py` writes all of it, with the tables of the look and of the light below, their defaults and what they mean.
"""

import tomllib
import unicodedata
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..materials import HAIR_GAIN, SKIN_GAIN, SUBSURFACE_SCALE_M, SUBSURFACE_SHARE
from ..storage import UsageError, read_text
from ..variation import DISPLAY, LIGHT, OWN_LAMPS, Choice


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
    scattering: float = SUBSURFACE_SHARE       # share of the light that goes under the skin, 0..1
    roughness: float = 1.0         # factor on the file's, 0.2..5
    brightness: float = SKIN_GAIN  # factor on the texture's colour, 0.2..5
    atlas_has_cloth: bool = True


@dataclass(frozen=True)
class EyeSettings:
    """The look of eyes in the reference."""

    wetness: float = 1.0           # 0 dry .. 1 wet


@dataclass(frozen=True)
class HairSettings:
    """The look of hair in the reference."""

    roughness: float = 0.45        # 0..1
    anisotropy: float = 0.6        # of the highlight, 0 round .. 1 a line across the strands
    translucency: float = 0.25     # share of the light that passes through, 0..1
    brightness: float = HAIR_GAIN  # factor on the texture's colour, 0.2..5


@dataclass(frozen=True)
class LampFile:
    """A file of the game's own lamps."""

    path: str
    digest: str                # changes with the content


@dataclass(frozen=True)
class LightSettings:
    """The light and the display of a game; empty means everything that `looks.toml` has."""

    kinds: tuple = ()
    tone_mappings: tuple = ()
    surroundings: dict = field(default_factory=dict)     # name, which changes with the content -> file
    lamps: dict = field(default_factory=dict)            # kind of light, named by the file -> LampFile

    def choice(self):
        """As `variation.py` wants it."""
        return Choice(self.kinds, self.tone_mappings, tuple(self.surroundings), tuple(self.lamps))


@dataclass(frozen=True)
class Settings:
    """Everything that a TOML may say."""

    roles: dict = field(default_factory=dict)
    morphs: dict = field(default_factory=dict)
    placement: Placement = Placement()
    skin: SkinSettings = SkinSettings()
    eyes: EyeSettings = EyeSettings()
    hair: HairSettings = HairSettings()
    lights: LightSettings = field(default_factory=LightSettings)


FACTOR = (0.2, 5.0)
SHARE = (0.0, 1.0)
RANGES = {"skin.scattering": SHARE, "skin.roughness": FACTOR, "skin.brightness": FACTOR, "eyes.wetness": SHARE,
          "hair.roughness": SHARE, "hair.anisotropy": SHARE, "hair.translucency": SHARE, "hair.brightness": FACTOR}


def _table(path, name, kind, found):
    if not isinstance(found, dict):
        raise UsageError(f"{path}: {name} is {found!r}; expected a table [{name}]")
    known = {entry.name for entry in fields(kind)}
    if unknown := sorted(set(found) - known):
        raise UsageError(f"{path}: [{name}] has no key {unknown[0]!r}; expected {', '.join(sorted(known))}")
    return found


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numbers(path, name, value, count):
    if not (isinstance(value, list) and len(value) == count and all(_is_number(x) for x in value)):
        raise UsageError(f"{path}: {name} is {value!r}; expected {count} numbers")
    return tuple(map(float, value))


def _positive(path, name, value):
    if not _is_number(value) or not value > 0:
        raise UsageError(f"{path}: {name} is {value!r}; expected a number above 0")
    return float(value)


def _within(path, name, value):
    low, high = RANGES[name]
    if not _is_number(value) or not low <= value <= high:
        raise UsageError(f"{path}: {name} is {value!r}; expected a number from {low:g} to {high:g}")
    return float(value)


def _truth(path, name, value):
    if not isinstance(value, bool):
        raise UsageError(f"{path}: {name} is {value!r}; expected true or false")
    return value


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


def _look(path, name, kind, found):
    """A table whose values are numbers in a range, but for two."""
    readers = {"scattering_m": _positive, "atlas_has_cloth": _truth}
    return kind(**{key: readers.get(key, _within)(path, f"{name}.{key}", value) for key, value in found.items()})


def _names(path, name, value, known):
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UsageError(f"{path}: {name} is {value!r}; expected a list of names")
    if unknown := sorted(set(value) - set(known)):
        raise UsageError(f"{path}: {name} has {unknown[0]!r}; expected any of {', '.join(known)}")
    return tuple(value)


def _files(path, name, value, endings):
    """[(file, digest of its content)] of files that are named as seen from the TOML."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise UsageError(f"{path}: {name} is {value!r}; expected a list of {' and '.join(endings)} files, seen from {path.parent}")
    found = []
    for entry in value:
        file = path.parent / entry
        try:
            found.append((file.absolute(), f"{zlib.crc32(file.read_bytes()):08x}"))
        except OSError as error:
            raise UsageError(f"{path}: {name}: {file} cannot be read: {error.strerror}; expected a {' or '.join(endings)} "
                             f"file, seen from {path.parent}") from error
    return found


def _surroundings(path, value):
    return {f"own_{digest}": str(file) for file, digest in _files(path, "lights.surroundings", value, (".hdr", ".exr"))}


def _lamps(path, value):
    found = {}
    for file, digest in _files(path, "lights.lamps", [value] if isinstance(value, str) else value, (".glb", ".gltf")):
        kind = OWN_LAMPS + unicodedata.normalize("NFC", file.stem)
        if kind in found:
            raise UsageError(f"{path}: lights.lamps has two files called {file.stem}; expected another name for each, since reports name "
                             "the light by its file")
        found[kind] = LampFile(str(file), digest)
    return found


def _lights(path, found):
    lamps = _lamps(path, found.get("lamps", []))
    kinds = _names(path, "lights.kinds", found.get("kinds", []), [*LIGHT["kinds"], *lamps])
    if unused := [kind for kind in lamps if kinds and kind not in kinds]:
        raise UsageError(f"{path}: lights.kinds leaves out {unused[0]!r} of lights.lamps; expected it among the kinds, or no kinds at all")
    return LightSettings(kinds, _names(path, "lights.tone_mappings", found.get("tone_mappings", []), DISPLAY["tone_mappings"]),
                         _surroundings(path, found.get("surroundings", [])), lamps)


def _strings(path, name, found):
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UsageError(f"{path}: [{name}] expected \"name\" = \"name\" lines, found {found!r}")
    return found


def toml_of(glb):
    """Where the settings of a GLB are unless another file is named."""
    return Path(glb).with_suffix(".toml")


def read_settings(path):
    """The settings in a TOML; the defaults where there is no such file."""
    path = Path(path)
    if not path.exists():
        return Settings()
    try:
        found = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: is no readable TOML: {error}") from error
    found = _table(path, "tables", Settings, found)
    table = lambda name, kind: _table(path, name, kind, found.get(name, {}))
    return Settings(_strings(path, "roles", found.get("roles", {})), _strings(path, "morphs", found.get("morphs", {})),
                    _placement(path, table("placement", Placement)),
                    _look(path, "skin", SkinSettings, table("skin", SkinSettings)),
                    _look(path, "eyes", EyeSettings, table("eyes", EyeSettings)),
                    _look(path, "hair", HairSettings, table("hair", HairSettings)),
                    _lights(path, table("lights", LightSettings)))
