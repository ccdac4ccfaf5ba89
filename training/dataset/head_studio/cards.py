"""Hair, brows and lashes as cards: flat meshes with alpha, fitted to a shaped base mesh.

A `.mhclo` file names for each vertex three vertices of the base mesh, their weights, and an offset in the base mesh's axes,
which three distances on the base mesh scale (MakeHuman's proxy format). Lines with one number are vertices of the base
mesh itself.
"""

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from .anatomy import METRES_PER_BASE_UNIT
from .subdivision import vertex_normals

TEXTURE_PX = {"hair": 1024, "brow": 512, "lash": 512}
PATTERN_POWER = 0.75           # contrast of a photographed hair texture's own light and shadow
OPAQUE = 0.25                  # alpha from which a texel's colour counts


@dataclass(frozen=True)
class Cards:
    """Triangles of one material in world space: positions [V, 3] metres, triangles [T, 3], corner uvs [T, 3, 2] (v up).

    `alpha` [S, S] and `pattern` [S, S] 0..2, mean one, are the texture: what covers, and how light each strand is.
    `kind` is hair, brow or lash.
    """

    name: str
    kind: str
    positions: np.ndarray
    triangles: np.ndarray
    corner_uvs: np.ndarray
    alpha: np.ndarray
    pattern: np.ndarray

    def normals(self):
        return vertex_normals(self.positions, self.triangles[:, [0, 1, 2, 2]])

    def split(self):
        """(vertex of each split vertex [W], uvs [W, 2], triangles [T, 3]): one vertex for each pair of vertex and uv."""
        keys = np.concatenate([self.triangles.reshape(-1, 1), np.round(self.corner_uvs.reshape(-1, 2) * 65536).astype(int)], 1)
        _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        return self.triangles.ravel()[first], self.corner_uvs.reshape(-1, 2)[first], index.reshape(-1, 3)


@dataclass(frozen=True)
class _Proxy:
    indices: np.ndarray        # [V, 3] into the base mesh
    weights: np.ndarray        # [V, 3]
    offsets: np.ndarray        # [V, 3]
    scales: dict               # axis -> (vertex, vertex, distance)
    triangles: np.ndarray
    corner_uvs: np.ndarray


@functools.lru_cache(maxsize=16)
def _read_proxy(path):
    scales, rows, in_vertices, obj_name = {}, [], False, path.stem + ".obj"
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if in_vertices and words[0].lstrip("-").isdigit():
            numbers = [float(word) for word in words]
            rows.append(numbers if len(numbers) == 9 else [numbers[0]] * 3 + [1, 0, 0, 0, 0, 0])
        elif words[0] == "verts":
            in_vertices = True
        elif words[0].endswith("_scale") and len(words) == 4:
            scales["xyz".index(words[0][0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            obj_name = words[1]
        elif words[0] in ("delete_verts", "weights"):
            break
    table = np.array(rows)
    if not len(table):
        raise ValueError(f"{path}: expected lines of vertices after `verts`, found none")
    triangles, corner_uvs = _read_obj(path.with_name(obj_name))
    return _Proxy(table[:, :3].astype(int), table[:, 3:6], table[:, 6:], scales, triangles, corner_uvs)


def _read_obj(path):
    """Triangles [T, 3] and their uvs [T, 3, 2]."""
    texture, triangles, corners = [], [], []
    for line in path.read_text(errors="replace").splitlines():
        kind, *words = line.split() or [""]
        if kind == "vt":
            texture.append([float(x) for x in words[:2]])
        elif kind == "f":
            face = [[int(x) - 1 for x in word.split("/")[:2]] for word in words]
            for k in range(1, len(face) - 1):
                three = [face[0], face[k], face[k + 1]]
                triangles.append([corner[0] for corner in three])
                corners.append([texture[corner[1]] for corner in three])
    return np.array(triangles), np.array(corners)


@functools.lru_cache(maxsize=8)
def _texture(path, size_px):
    """(alpha, pattern) [S, S] of a card's picture; colour bleeds outwards, so that edges are not fringed."""
    image = Image.open(path).convert("RGBA").resize((size_px, size_px), Image.BOX)
    values = np.asarray(image, np.float32) / 255
    alpha, luma = values[..., 3], (values[..., :3] ** 2.2).mean(2)
    solid = alpha > OPAQUE
    if not solid.any():
        raise ValueError(f"{path}: expected a picture with alpha, found nothing opaque")
    nearest = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    luma = luma[nearest[0], nearest[1]]
    pattern = (luma / max(luma[solid].mean(), 1e-4) + 0.05) ** PATTERN_POWER
    return alpha, (pattern / pattern[solid].mean()).clip(0.25, 2.0)


def _picture(path):
    """The card's picture: the one that is named after it."""
    for name in (f"{path.stem}_diffuse.png", f"{path.stem}.png"):
        if path.with_name(name).exists():
            return path.with_name(name)
    raise FileNotFoundError(f"{path.parent}: no {path.stem}_diffuse.png or {path.stem}.png; get the pack again")


def fit_cards(path, name, kind, base_vertices):
    """The cards of a `.mhclo` file on shaped base vertices (decimetres)."""
    proxy = _read_proxy(path)
    scale = np.ones(3)
    for axis, (a, b, distance) in proxy.scales.items():
        scale[axis] = abs(base_vertices[a, axis] - base_vertices[b, axis]) / distance
    at = (base_vertices[proxy.indices] * proxy.weights[..., None]).sum(1) + proxy.offsets * scale
    alpha, pattern = _texture(_picture(path), TEXTURE_PX[kind])
    return Cards(name, kind, at * METRES_PER_BASE_UNIT, proxy.triangles, proxy.corner_uvs, alpha, pattern)


def colours(cards, albedo_linear):
    """Linear colour [S, S, 3] of a card's texels for hair of this albedo."""
    pattern = cards.pattern if cards.kind == "hair" else np.ones_like(cards.pattern)
    return pattern[..., None] * np.asarray(albedo_linear)
