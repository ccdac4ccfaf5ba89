"""`kill -9` at random moments, a full disk, and two processes with the same seeds: what has a final name is whole."""

import json
import multiprocessing
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from head_studio import export, gltf, library, pairs, storage
from head_studio.assets import Assets
from head_studio.exr import read_exr, write_exr
from head_studio.identity import draw_identity
from head_studio.look import draw_look

KILLS, RENDER_KILLS = 30, 2
TEXTURE_PX, SIZE_PX = 64, 96
FORK = multiprocessing.get_context("fork")
HERE = Path(__file__).resolve().parents[2]


def bake(out, number):
    """What a seed writes, through the functions that write it: skin maps, and the files of a scene without a scene."""
    identity = draw_identity(number)
    textures = library.identity_textures(out, identity, draw_look(identity, Assets()), TEXTURE_PX)
    folder = pairs.seed_folder(out, number)
    if storage.is_finished(folder, pairs.FILES):
        return
    folder.mkdir(exist_ok=True)
    triangle = np.eye(3)
    with storage.replacing(folder / "scene.glb") as path:
        material = gltf.Material("Skin", colour_image=export.encode_image(export.to_srgb(textures.albedo_linear)),
                                 normal_image=export.encode_image(textures.normal * 0.5 + 0.5))
        gltf.write_glb(path, [gltf.Mesh("Head", triangle, triangle, np.array([[0, 1, 2]]), material)])
    storage.write_json(folder / "scene.json", {"size_px": SIZE_PX, "samples": 1})
    image = np.random.default_rng(number).random((SIZE_PX, SIZE_PX, 4))
    with storage.replacing(folder / "reference.exr") as path:
        write_exr(path, image)
    with storage.replacing(folder / "mask.png") as path:
        Image.fromarray((image[..., 0] * 255).astype(np.uint8)).save(path)
    storage.finish(folder, pairs.FILES)


def bake_without_end(out):
    number = 0
    while True:
        bake(out, number)
        number += 1


def load(path):
    """Reads a file to its end, or raises."""
    if path.suffix == ".exr":
        read_exr(path)
    elif path.suffix == ".png":
        Image.open(path).load()
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".glb":
        data = path.read_bytes()
        length, = struct.unpack("<I", data[12:16])
        json.loads(data[20:20 + length])
        if struct.unpack("<4sII", data[:12]) != (b"glTF", 2, len(data)):
            raise ValueError(f"{path} is not as long as it says")


def parts(out):
    return [path for path in out.rglob("*") if ".part" in path.name]


def finished(out):
    """Folders that are finished; every file that has a final name is loaded."""
    files = [path for path in out.rglob("*.*") if path.is_file() and not path.name.startswith(".")]
    for path in files:
        load(path)
    return {path.parent for path in files if path.name == storage.MANIFEST
            and storage.is_finished(path.parent, json.loads(path.read_text())["files"])}


class Kills(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.out = Path(scratch.name)
        self.random = random.Random(9)

    def test_baking_that_is_killed_leaves_whole_files_and_goes_on(self):
        bake(self.out, 0)
        before, while_writing = finished(self.out), 0
        for _ in range(KILLS):
            child = FORK.Process(target=bake_without_end, args=(self.out,))
            child.start()
            time.sleep(self.random.uniform(0, 0.5))
            child.kill()
            child.join()
            self.assertEqual(child.exitcode, -signal.SIGKILL)
            after = finished(self.out)
            self.assertLessEqual(before, after)
            before, while_writing = after, while_writing + bool(parts(self.out))
        print(f"{KILLS} kills, {while_writing} left a part; {len(before)} folders")
        self.assertGreater(len(before), 2)
        for number in range(len(before)):
            bake(self.out, number)
        self.assertEqual(parts(self.out), [], "what killed processes left is still there")

    def test_a_render_that_is_killed_leaves_whole_files_and_goes_on(self):
        render = [sys.executable, "-m", "head_studio", "render", "--seeds", "0..2", "--size", "32", "--samples", "1",
                  "--identity-textures", "64", "--out", str(self.out)]
        before = set()
        for _ in range(RENDER_KILLS):
            child = subprocess.Popen(render, cwd=HERE, stdout=subprocess.DEVNULL)
            while not (self.out / "00000000").is_dir():
                self.assertIsNone(child.poll(), "it ended by itself")
                time.sleep(0.05)
            time.sleep(self.random.uniform(0, 8))
            second = subprocess.run(render, cwd=HERE, capture_output=True, text=True) if child.poll() is None else None
            child.kill()
            child.wait()
            if second is not None:
                self.assertEqual(second.returncode, 2)
                self.assertRegex(second.stderr, f"{self.out}: another head_studio is at work on seeds 0..2 .* of its own")
            after = finished(self.out)
            self.assertLessEqual(before, after)
            before = after
        subprocess.run(render, cwd=HERE, stdout=subprocess.DEVNULL, check=True)
        self.assertLessEqual({self.out / "00000000", self.out / "00000001"}, finished(self.out))
        self.assertEqual(parts(self.out), [])


class FullDisk(unittest.TestCase):
    def test_the_error_says_what_to_do_and_the_old_file_stays(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "a.bin"
            storage.write_bytes(path, b"old")
            code = f"from head_studio import storage; storage.write_bytes({str(path)!r}, bytes(10**6))"
            # Python ignores SIGXFSZ, so that a file that may not grow is an error.
            limited = ["sh", "-c", 'ulimit -f 64; exec "$0" "$@"', sys.executable, "-c", code]
            failed = subprocess.run(limited, cwd=HERE, capture_output=True, text=True)
            self.assertEqual(failed.returncode, 1)
            self.assertRegex(failed.stderr, "disk is full.*make room.*same command again.*a.bin")
            self.assertEqual(os.listdir(scratch), ["a.bin"])
            self.assertEqual(path.read_bytes(), b"old")


if __name__ == "__main__":
    unittest.main()
