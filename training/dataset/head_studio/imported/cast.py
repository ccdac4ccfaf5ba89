"""Reads a cast: the heads of each split and their seeds, from `game_heads.toml` or a file like it."""

import tomllib
from pathlib import Path

from ..storage import UsageError, read_text
from ..variation import SPLITS, split_of

GAME_HEADS = Path(__file__).with_name("game_heads.toml")
SPLIT_NAMES = tuple(name for name, *_ in SPLITS)


def _entry(path, split, found):
    heads, first = found.get("heads"), found.get("first_seed")
    if not isinstance(heads, list) or not heads or not all(isinstance(name, str) for name in heads):
        raise UsageError(f"{path}: [{split}] heads is {heads!r}; expected a list of file names without .glb")
    if not isinstance(first, int) or not 0 <= first < 10**8 or split_of(first)[0] != split:
        raise UsageError(f"{path}: [{split}] first_seed is {first!r}; expected a seed of the {split} split (`variation.py`)")
    return heads, first


def read_cast(path):
    """{split: (heads, first seed)}; no head is in two splits."""
    try:
        found = tomllib.loads(read_text(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"--cast: {path} is no readable TOML: {error}") from error
    if unknown := sorted(set(found) - set(SPLIT_NAMES)):
        raise UsageError(f"--cast: {path} has a table [{unknown[0]}]; expected {', '.join(SPLIT_NAMES)}")
    cast = {split: _entry(path, split, entry) for split, entry in found.items()}
    names = [name for heads, _ in cast.values() for name in heads]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--cast: {path} names {twice[0]} twice; a head belongs to one split")
    return cast


def seeds_of_cast(cast, split, folder, scenes):
    """[(seed, file)] of a split, head by head, and the range of all its seeds."""
    if split not in cast:
        raise UsageError(f"--split: the cast has no {split!r}; expected one of {', '.join(cast)}")
    heads, first = cast[split]
    seeds = range(first, first + len(heads) * scenes)
    if seeds.stop > 10**8 or split_of(seeds[-1])[0] != split:
        raise UsageError(f"--scenes: {scenes} of {len(heads)} heads reach beyond the seeds of the {split} split")
    files = [Path(folder) / f"{name}.glb" for name in heads]
    if missing := [file for file in files if not file.exists()]:
        raise UsageError(f"--heads: {missing[0]} is missing; expected the {len(files)} heads of the {split} split there")
    return [(seed, files[k]) for k in range(len(heads)) for seed in seeds[k::len(heads)]], seeds
