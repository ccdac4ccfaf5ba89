"""Asset packs: free skins, hair cards, irises and surroundings in folders that `--assets` names.

A pack folder has the layout that the README lists, with a `SHA256SUMS` of its files. A folder with
`node_modules/@pmndrs/assets` is the npm package of surroundings. Every pack may be missing: head_studio then makes
that part itself.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from .storage import UsageError

SUMS = "SHA256SUMS"
NPM_PACKAGE, NPM_VERSION = "node_modules/@pmndrs/assets", "1.7.0"
# Name of a pack -> where its files lie, and what is made without it.
PACKS = {
    "skins": ("makehuman/skins/textures/*.png", "procedural skin"),
    "small skins": ("makehuman/skins/small/*.png", "tones of the large skins"),
    "hair cards": ("makehuman/hair/*/*.mhclo", "strands"),
    "brow cards": ("makehuman/eyebrows/*/*.mhclo", "strands and painted brows"),
    "lash cards": ("makehuman/eyelashes/*/*.mhclo", "strands"),
    "irises": ("makehuman/eyes/materials/*_eye.png", "procedural irises"),
    "surroundings": ("hdri/*.hdr", "the surroundings that come with Blender"),
}
HASHED = tuple(sorted({pattern.split("*")[0] for pattern, _ in PACKS.values()}))


@dataclass
class Assets:
    """The packs found: {pack: {name: file}}, and the SHA-256 of each file {path as in SHA256SUMS: digest}."""

    packs: dict = field(default_factory=lambda: {name: {} for name in PACKS} | {"npm surroundings": {}})
    digests: dict = field(default_factory=dict)

    def names(self, pack):
        return sorted(self.packs[pack])

    def path(self, pack, name):
        return self.packs[pack][name]

    def missing(self):
        """A sentence for each pack that is absent."""
        absent = [f"{name}: no {pattern}; {instead} instead" for name, (pattern, instead) in PACKS.items()
                  if not self.packs[name]]
        if not self.packs["npm surroundings"]:
            absent.append(f"npm surroundings: no {NPM_PACKAGE}; fewer surroundings instead")
        return absent

    def record(self, used):
        """The record in `scene.json` of the files used, `[(pack, name)]`: {pack/name: SHA-256}."""
        return {f"{pack}/{name}": self.digests[self.packs[pack][name]] for pack, name in sorted(set(used))}


def _digest(path):
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_sums(folder):
    """{path: SHA-256} of the pack files of a folder, each compared with `SHA256SUMS`; absent ones are left out."""
    found = {}
    for line in (folder / SUMS).read_text().splitlines():
        wanted, _, name = line.partition("  ")
        path = folder / name
        if not name.removeprefix("./").startswith(HASHED) or not path.is_file():
            continue
        digest = _digest(path)
        if digest != wanted:
            raise UsageError(f"--assets: {path} has the SHA-256 {digest}, and {folder / SUMS} says {wanted}; "
                             "get the file again")
        found[path.resolve()] = digest
    return found


def _add_npm(assets, folder):
    version = json.loads((folder / "package.json").read_text())["version"]
    if version != NPM_VERSION:
        raise UsageError(f"--assets: {folder} is version {version}; expected {NPM_VERSION}: "
                         f"npm install @pmndrs/assets@{NPM_VERSION}")
    for path in sorted((folder / "hdri").glob("*.exr.js")):
        assets.packs["npm surroundings"][path.name.removesuffix(".exr.js")] = path.resolve()
        assets.digests[path.resolve()] = _digest(path)


def open_assets(folders):
    """The packs of all `--assets` folders; with none, no packs.

    Raises UsageError where a folder is no pack folder, or a file is not the one that `SHA256SUMS` names.
    """
    assets = Assets()
    for folder in map(Path, folders):
        npm = folder / NPM_PACKAGE
        if not (folder / SUMS).is_file() and not npm.is_dir():
            raise UsageError(f"--assets: {folder} has neither {SUMS} nor {NPM_PACKAGE}; expected a folder as "
                             "training/dataset/README.md describes under Asset packs")
        if npm.is_dir():
            _add_npm(assets, npm)
        if (folder / SUMS).is_file():
            sums = _check_sums(folder)
            assets.digests |= sums
            for pack, (pattern, _) in PACKS.items():
                for path in sorted(folder.glob(pattern)):
                    if path.resolve() in sums:
                        name = path.parent.name if path.suffix == ".mhclo" else path.stem.replace("_diffuse", "")
                        assets.packs[pack][name] = path.resolve()
    return assets


def npm_exr(path):
    """Bytes of the EXR file in one of the npm package's modules, where it is a base64 data URL."""
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text())
    if found is None:
        raise UsageError(f"--assets: {path} holds no base64 data URL; expected @pmndrs/assets {NPM_VERSION}")
    return base64.b64decode(found[1])
