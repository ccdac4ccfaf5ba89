"""The list of cases: read and checked before any model is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path


class UsageError(Exception):
    """A bad input: the message says which, what was expected, and what was found."""


@dataclass(frozen=True)
class Case:
    """Pictures of one person, aligned pixel for pixel. `seconds` has one for each model."""

    name: str
    person: str
    first: Path
    reference: Path
    seconds: dict[str, Path]


def read(path):
    """`{"cases": [{"name", "person", "first", "reference", "seconds": {model: picture}}]}`, with paths relative to the file."""
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a manifest") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}; expected JSON") from error
    entries = content.get("cases") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise UsageError(f"{path}: expected an object with a list `cases`")
    cases = [_case(path, at, entry) for at, entry in enumerate(entries)]
    names = [case.name for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: expected cases of different names, found `{twice}` twice")
    return cases


def _case(path, at, entry):
    def text(value, what):
        if not isinstance(value, str):
            raise UsageError(f"{path}: case {at}: expected a string `{what}`, found {json.dumps(value)}")
        return value

    if not isinstance(entry, dict) or not isinstance(entry.get("seconds"), dict):
        raise UsageError(f"{path}: case {at}: expected an object with an object `seconds`, found {json.dumps(entry)}")
    return Case(
        name=text(entry.get("name"), "name"),
        person=text(entry.get("person"), "person"),
        first=path.parent / text(entry.get("first"), "first"),
        reference=path.parent / text(entry.get("reference"), "reference"),
        seconds={model: path.parent / text(value, f"seconds.{model}") for model, value in entry["seconds"].items()},
    )
