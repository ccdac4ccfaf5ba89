"""Finished or not: whole files, `done.json` manifests, verification, and who works on which seeds. Nothing is ever
deleted but what killed writers left."""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path

MANIFEST = "done.json"
FORMAT = 1
LOCKS = ".locks"
ALL_SEEDS = range(10**8)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
def claim(out, seeds):
    """Holds the seeds of a data folder for this process, however it ends; refuses where another process has one of them.
    Processes with seeds of their own share a folder."""
    folder = out / LOCKS
    folder.mkdir(exist_ok=True)
    with open(folder / "head_studio.guard", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for path in folder.iterdir():
            found = re.fullmatch(r"head_studio (\d+)\.\.(\d+) by ([1-9]\d*)", path.name)
            if found and _overlap(seeds, range(*map(int, found.groups()))):
                with open(path, "w") as other:
                    if not _lock(other):
                        raise UsageError(
                            f"--out: {out}: another head_studio is at work on seeds {found[1]}..{found[2]} with --stride "
                            f"{found[3]}, some of which were asked for; give each process seeds of its own, or wait for "
                            "its end or stop it")
        mine = open(folder / f"head_studio {seeds.start}..{seeds.stop} by {seeds.step}", "w")
        _lock(mine)
    with mine:
        yield


def _overlap(a, b):
    shorter, longer = sorted((a, b), key=len)
    return any(seed in longer for seed in shorter)


def _lock(stream):
    """True if no other process has the lock of this file; this one has it then, until it ends or closes the file."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


@contextmanager
def replacing(path):
    """Yields a temporary path beside `path`, with the same ending; syncs and renames it on success. Whoever opens `path`,
    even after a crash, finds the old file or the new one, whole."""
    path = Path(path)
    _delete_abandoned(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part{path.suffix}")
    try:
        with open(temporary, "xb") as stream:
            with suppress(OSError):    # Where a file system has no locks, what was abandoned just stays.
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield temporary
            os.fsync(stream)
            os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise OSError(error.errno, f"{error.strerror}: the disk is full, or a quota or file size limit (`ulimit -f`) is "
                          "too small; make room and run the same command again: what was finished is whole and is kept",
                          str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _delete_abandoned(path):
    """Deletes what killed writers of this file left; a lock says that the writer lives."""
    ours = re.compile(rf"\.{re.escape(path.stem)}\.[0-9a-f]{{16}}\.part{re.escape(path.suffix)}")
    for other in path.parent.iterdir():
        if ours.fullmatch(other.name):
            with suppress(OSError), open(other, "ab") as stream:
                if _lock(stream):
                    other.unlink()


def read_text(path):
    """The text of a JSON or TOML file as any editor writes it: UTF-8 with or without a byte order mark, or UTF-16."""
    content = Path(path).read_bytes()
    return content.decode(json.detect_encoding(content))


def write_bytes(path, content):
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path, value):
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def fingerprint(path):
    """Size and SHA-256 of a file."""
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def finish(folder, names):
    """Writes the manifest of these files: the last act of making a folder."""
    files = {name: fingerprint(folder / name) for name in names}
    write_json(folder / MANIFEST, {"format": FORMAT, "files": files})


def is_finished(folder, names):
    """True if the manifest exists, lists `names`, and every file still matches it."""
    try:
        manifest = json.loads(read_text(folder / MANIFEST))
        files = manifest["files"]
        return manifest["format"] == FORMAT and set(files) >= set(names) and all(
            fingerprint(folder / name) == expected for name, expected in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
