"""Finished or not: atomic files, `done.json` manifests, and verification. Nothing is ever deleted."""

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path

MANIFEST = "done.json"
FORMAT = 1


class UsageError(Exception):
    """A bad argument: the message says which, what was given, and what is accepted."""


def parse_seed_range(text, stride=1):
    """`A..B` (half-open) -> range(A, B, stride)."""
    first, dots, last = text.partition("..")
    if not dots or not first.isdigit() or not last.isdigit():
        raise UsageError(f"--seeds: expected A..B with whole numbers, such as 0..180, found `{text}`")
    if stride < 1:
        raise UsageError(f"--stride: expected 1 or more, found {stride}")
    if int(first) >= int(last):
        raise UsageError(f"--seeds: {text} is empty, since the end is excluded; expected A < B")
    if int(last) > 10**8:
        raise UsageError(f"--seeds: {text} goes beyond 100000000, and folders have eight digits")
    return range(int(first), int(last), stride)


def output_folder(path):
    """The folder at `path`, made if absent."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {folder} is a file; expected a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out: cannot make {folder}: {error.strerror}") from error
    return folder


@contextmanager
def replacing(path):
    """Yields a temporary path beside `path`, with the same ending; renames it on success."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path, content):
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path, value):
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def _fingerprint(path):
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def finish(folder, names):
    """Writes the manifest of these files: the last act of making a folder."""
    files = {name: _fingerprint(folder / name) for name in names}
    write_json(folder / MANIFEST, {"format": FORMAT, "files": files})


def is_finished(folder, names):
    """Whether the manifest exists, lists `names`, and every file still matches it."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = manifest["files"]
        return manifest["format"] == FORMAT and set(files) >= set(names) and all(
            _fingerprint(folder / name) == expected for name, expected in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
