"""A document's meshes as parts in world space: one for each primitive, posed as the file poses them."""

from dataclasses import dataclass, field

import numpy as np

from ..storage import UsageError
from ..subdivision import unit

TRIANGLES, STRIP, FAN = 4, 5, 6
HEAD_BONES = ("head", "headbone", "bip01head", "bip001head", "mixamorighead", "chead", "jbipchead", "defhead", "defspine006")


@dataclass
class Part:
    """Triangles of one material. `uvs` have v down, `morphs` are {name: offsets [V, 3]}, `others` are vertex attributes
    that the copy keeps, such as colours; `on_head` [V] says how far the head's bone moves a vertex, where there is one."""

    names: tuple               # of its node and mesh, as far as they have any
    material: int | None
    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray | None = None
    morphs: dict = field(default_factory=dict)
    others: dict = field(default_factory=dict)
    on_head: np.ndarray | None = None
    role: str = "other"

    @property
    def name(self):
        return self.names[0] if self.names else ""

    def keep_triangles(self, kept):
        """The part with these triangles alone, and only the vertices that they use."""
        used, triangles = np.unique(self.triangles[kept], return_inverse=True)
        return self.with_vertices(used, triangles.reshape(-1, 3))

    def with_vertices(self, source, triangles):
        """The part with the vertices `source`, which may repeat, and other triangles."""
        take = lambda values: None if values is None else values[source]
        return Part(self.names, self.material, self.positions[source], self.normals[source], triangles, take(self.uvs),
                    {name: offsets[source] for name, offsets in self.morphs.items()},
                    {name: values[source] for name, values in self.others.items()}, take(self.on_head), self.role)


def triangle_normals(positions, triangles):
    """Normals [T, 3] of triangles, as long as twice their area."""
    a, b, c = (positions[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def smooth_normals(positions, triangles, group):
    """Area-weighted unit normals [V, 3]; vertices of one `group` [V] share theirs."""
    faces, sums = triangle_normals(positions, triangles), np.zeros((group.max() + 1, 3))
    for corner in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(group[triangles[:, corner]], faces[:, axis], len(sums))
    return unit(sums)[group]


def weld(positions, tolerance_m=1e-5):
    """A number [V] for each vertex, the same for vertices in the same place."""
    cells = np.round(positions / tolerance_m).astype(np.int64)
    return np.unique(cells, axis=0, return_inverse=True)[1].ravel()


def _local_matrix(node):
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    matrix = np.eye(4)
    rotation = np.array([[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                         [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                         [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def world_matrices(document):
    """{node: world matrix} of the nodes of the default scene."""
    nodes, scenes = document.entries("nodes"), document.entries("scenes")
    scene = scenes[document.json.get("scene", 0)] if scenes else {"nodes": range(len(nodes))}
    found, waiting = {}, [(index, np.eye(4)) for index in scene.get("nodes", [])]
    while waiting:
        index, above = waiting.pop()
        if index in found:
            raise UsageError(f"{document.path}: node {index} has two parents; the file is damaged")
        found[index] = above @ _local_matrix(nodes[index])
        waiting += [(child, found[index]) for child in nodes[index].get("children", [])]
    return found


def _is_head_bone(name):
    return "".join(letter for letter in name.lower() if letter.isalnum()) in HEAD_BONES


def _with_children(nodes, index):
    yield index
    for child in nodes[index].get("children", []):
        yield from _with_children(nodes, child)


def _skinning(document, skin, attributes, worlds):
    """Each vertex's matrix [V, 4, 4], and how far the head's bone and those below it move it [V] or None."""
    nodes, joints = document.entries("nodes"), skin["joints"]
    inverse = (document.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
               if "inverseBindMatrices" in skin else np.tile(np.eye(4), (len(joints), 1, 1)))
    matrices = np.stack([worlds.get(joint, np.eye(4)) @ inverse[k] for k, joint in enumerate(joints)])
    slots, weights = (document.accessor(attributes[name]) for name in ("JOINTS_0", "WEIGHTS_0"))
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    heads = [joint for joint in joints if _is_head_bone(nodes[joint].get("name", ""))]
    below = {index for head in heads for index in _with_children(nodes, head)}
    on_head = (weights * np.isin(np.array(joints), list(below))[slots]).sum(1) if heads else None
    return np.einsum("vk,vkij->vij", weights, matrices[slots]), on_head


def _triangles(document, primitive, count):
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN):
        return None
    indices = (document.accessor(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(count)).astype(int)
    if indices.size and indices.max() >= count:
        raise UsageError(f"{document.path}: an index of {indices.max()} where there are {count} vertices; the file is damaged")
    if mode == TRIANGLES:
        return indices[:len(indices) // 3 * 3].reshape(-1, 3)
    if mode == FAN:
        return np.stack([np.full(len(indices) - 2, indices[0]), indices[1:-1], indices[2:]], 1)
    strip = np.stack([indices[:-2], indices[1:-1], indices[2:]], 1)
    strip[1::2] = strip[1::2, ::-1]
    return strip


def _part(document, node, mesh, primitive, world, worlds):
    attributes = primitive["attributes"]
    positions = document.accessor(attributes["POSITION"]).astype(float)
    triangles = _triangles(document, primitive, len(positions))
    if triangles is None or not len(triangles):
        return None
    targets = primitive.get("targets", [])
    names = mesh.get("extras", {}).get("targetNames") or [f"target {k}" for k in range(len(targets))]
    morphs = {name: document.accessor(target["POSITION"]).astype(float)
              for name, target in zip(names, targets) if "POSITION" in target}
    weights = node.get("weights", mesh.get("weights", []))
    at_rest = dict(zip(names, weights))
    positions = positions + sum(at_rest.get(name, 0.0) * offsets for name, offsets in morphs.items())
    on_head, matrices = None, np.broadcast_to(world, (len(positions), 4, 4))
    if "skin" in node and "JOINTS_0" in attributes:
        matrices, on_head = _skinning(document, document.entries("skins")[node["skin"]], attributes, worlds)
    linear = matrices[:, :3, :3]
    turn = lambda vectors: np.einsum("vij,vj->vi", linear, vectors)
    placed = turn(positions) + matrices[:, :3, 3]
    if np.linalg.det(linear[0]) < 0:
        triangles = triangles[:, ::-1]
    if "NORMAL" in attributes:
        normals = unit(np.einsum("vij,vj->vi", np.linalg.inv(linear).transpose(0, 2, 1),
                                 document.accessor(attributes["NORMAL"]).astype(float)))
    else:
        normals = smooth_normals(placed, triangles, weld(placed, max(np.ptp(placed, 0).max() * 1e-6, 1e-9)))
    uvs = document.accessor(attributes["TEXCOORD_0"]).astype(float) if "TEXCOORD_0" in attributes else None
    others = {name: document.accessor(index).astype(np.float32) for name, index in attributes.items()
              if name in ("TEXCOORD_1", "COLOR_0")}
    names = tuple(dict.fromkeys(filter(None, (node.get("name"), mesh.get("name")))))
    return Part(names, primitive.get("material"), placed, normals, triangles, uvs,
                {name: turn(offsets) for name, offsets in morphs.items()}, others, on_head)


def _taken(document, worlds, names):
    """The indices of the named nodes of the default scene and of what is below them; of all nodes without names."""
    if names is None:
        return set(worlds)
    nodes = document.entries("nodes")
    called = {name: [index for index in worlds if nodes[index].get("name") == name] for name in names}
    if unknown := [name for name, found in called.items() if not found]:
        known = sorted({nodes[index]["name"] for index in worlds if nodes[index].get("name")})
        raise UsageError(f"{document.toml}: placement.nodes: {document.path} has no node {unknown[0]!r}; "
                         f"found: {', '.join(known)}")
    return {below for found in called.values() for index in found for below in _with_children(nodes, index)}


def read_parts(document, nodes=None):
    """Every triangle of the default scene, or of these `nodes` in it and what is below them, in world space and in the file's
    units. Cameras, lamps and animations stay out."""
    worlds, parts = world_matrices(document), []
    taken = _taken(document, worlds, nodes)
    for index, world in sorted(worlds.items()):
        node = document.entries("nodes")[index]
        if "mesh" not in node or index not in taken:
            continue
        mesh = document.entries("meshes")[node["mesh"]]
        made = (_part(document, node, mesh, primitive, world, worlds) for primitive in mesh["primitives"])
        parts += [part for part in made if part is not None]
    if not parts:
        raise UsageError(f"{document.path}: has no triangles in its default scene; expected a head")
    if not all(np.isfinite(part.positions).all() for part in parts):
        raise UsageError(f"{document.path}: has vertices that are not finite; the file is damaged")
    return parts
