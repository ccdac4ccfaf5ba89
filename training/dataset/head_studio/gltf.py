"""A small binary glTF 2.0 writer: meshes with tangents and morph targets, JPEG/PNG textures."""

import json
import struct
from dataclasses import dataclass, field

import numpy as np

COMPONENT_TYPES = {"float32": 5126, "uint32": 5125}
CLAMP, REPEAT = 33071, 10497   # of textures, in this order among the samplers
SPECULAR = "KHR_materials_specular"
ELEMENT_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@dataclass
class Material:
    """Metallic-roughness. Images are encoded JPEG or PNG bytes.

    `surface_image` holds occlusion in red and roughness in green. `colour_linear` multiplies `colour_image`, and `alpha` its
    alpha. `alpha_mode` is glTF's: OPAQUE, MASK (cut off at `alpha_cutoff`) or BLEND. `tiled` images repeat. `specular` is the
    share of light that its surface reflects, over that of an index of refraction of 1.5.
    """

    name: str
    colour_linear: tuple = (1.0, 1.0, 1.0)
    roughness: float = 0.5
    double_sided: bool = False
    colour_image: bytes | None = None
    surface_image: bytes | None = None
    normal_image: bytes | None = None
    metallic: float = 0.0
    alpha: float = 1.0
    alpha_mode: str = "OPAQUE"
    alpha_cutoff: float = 0.5
    tiled: bool = False
    specular: float = 1.0


@dataclass
class Mesh:
    """Triangles of one material. `uvs` have v down, as glTF wants; `morphs` {name: offsets [V, 3]} and,
    where shading must follow, `morph_normals` {name: offsets [V, 3]}."""

    name: str
    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    material: Material
    uvs: np.ndarray | None = None
    tangents: np.ndarray | None = None
    morphs: dict = field(default_factory=dict)
    morph_normals: dict = field(default_factory=dict)
    translation: tuple | None = None
    colours_linear: np.ndarray | None = None       # [V, 3], multiply the material's


class Buffer:
    """A binary chunk in the making, with the views and accessors into it."""

    def __init__(self):
        self.chunks, self.length, self.views, self.accessors, self.known = [], 0, [], [], {}

    def view(self, content, target=None):
        """The index of a view of this content, which is stored once however often it is asked for."""
        if (content, target) in self.known:
            return self.known[content, target]
        padding = -self.length % 4
        self.chunks += [b"\0" * padding, content]
        self.length += padding
        view = {"buffer": 0, "byteOffset": self.length, "byteLength": len(content)}
        self.views.append(view | ({"target": target} if target else {}))
        self.length += len(content)
        self.known[content, target] = len(self.views) - 1
        return len(self.views) - 1

    def accessor(self, values, bounds=False, target=34962):
        values = np.ascontiguousarray(values)
        width = 1 if values.ndim == 1 else values.shape[1]
        entry = {"bufferView": self.view(values.tobytes(), target), "componentType": COMPONENT_TYPES[str(values.dtype)],
                 "count": len(values), "type": ELEMENT_TYPES[width]}
        if bounds:
            entry |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(entry)
        return len(self.accessors) - 1


def _add_image(document, buffer, content, tiled):
    kind = "image/jpeg" if content[:2] == b"\xff\xd8" else "image/png"
    document["images"].append({"bufferView": buffer.view(content), "mimeType": kind})
    document["textures"].append({"source": len(document["images"]) - 1, "sampler": int(tiled)})
    return {"index": len(document["textures"]) - 1}


def _add_material(document, buffer, material):
    for index, entry in enumerate(document["materials"]):
        if entry["name"] == material.name:
            return index
    surface = {"baseColorFactor": [*map(float, material.colour_linear), float(material.alpha)],
               "metallicFactor": float(material.metallic),
               "roughnessFactor": float(material.roughness)}
    entry = {"name": material.name, "pbrMetallicRoughness": surface, "doubleSided": material.double_sided}
    if material.alpha_mode != "OPAQUE":
        entry["alphaMode"] = material.alpha_mode
    if material.alpha_mode == "MASK":
        entry["alphaCutoff"] = float(material.alpha_cutoff)
    if material.colour_image:
        surface["baseColorTexture"] = _add_image(document, buffer, material.colour_image, material.tiled)
    if material.surface_image:
        surface["metallicRoughnessTexture"] = _add_image(document, buffer, material.surface_image, material.tiled)
        entry["occlusionTexture"] = surface["metallicRoughnessTexture"]
    if material.normal_image:
        entry["normalTexture"] = _add_image(document, buffer, material.normal_image, material.tiled)
    if material.specular != 1:
        entry["extensions"] = {SPECULAR: {"specularFactor": float(material.specular)}}
        document["extensionsUsed"] = [SPECULAR]
    document["materials"].append(entry)
    return len(document["materials"]) - 1


def _float32(values):
    return np.asarray(values, np.float32)


def _add_mesh(document, buffer, mesh):
    attributes = {"POSITION": buffer.accessor(_float32(mesh.positions), bounds=True),
                  "NORMAL": buffer.accessor(_float32(mesh.normals))}
    if mesh.uvs is not None:
        attributes["TEXCOORD_0"] = buffer.accessor(_float32(mesh.uvs))
    if mesh.colours_linear is not None:
        attributes["COLOR_0"] = buffer.accessor(_float32(mesh.colours_linear))
    if mesh.tangents is not None:
        attributes["TANGENT"] = buffer.accessor(_float32(mesh.tangents))
    indices = buffer.accessor(np.asarray(mesh.triangles, np.uint32).ravel(), target=34963)
    primitive = {"attributes": attributes, "indices": indices, "mode": 4,
                 "material": _add_material(document, buffer, mesh.material)}
    entry = {"name": mesh.name, "primitives": [primitive]}
    if mesh.morphs:
        primitive["targets"] = [{"POSITION": buffer.accessor(_float32(offsets), bounds=True)}
                                for offsets in mesh.morphs.values()]
        for target, offsets in zip(primitive["targets"], mesh.morph_normals.values()):
            target["NORMAL"] = buffer.accessor(_float32(offsets))
        entry |= {"extras": {"targetNames": list(mesh.morphs)}, "weights": [0.0] * len(mesh.morphs)}
    document["meshes"].append(entry)
    node = {"name": mesh.name, "mesh": len(document["meshes"]) - 1}
    if mesh.translation is not None:
        node["translation"] = [float(x) for x in mesh.translation]
    document["nodes"].append(node)
    document["scenes"][0]["nodes"].append(len(document["nodes"]) - 1)


def write_glb(path, meshes):
    """Writes the meshes, each as one node of the scene."""
    document = {"asset": {"version": "2.0", "generator": "head_studio"}, "scene": 0, "scenes": [{"nodes": []}],
                "nodes": [], "meshes": [], "materials": [], "images": [], "textures": [],
                "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": wrap, "wrapT": wrap} for wrap in (CLAMP, REPEAT)]}
    buffer = Buffer()
    for mesh in meshes:
        _add_mesh(document, buffer, mesh)
    write_document(path, document, buffer)


def write_document(path, document, buffer):
    """Writes a GLB file of this JSON, to which the buffer's views and accessors are added."""
    content = b"".join(buffer.chunks)
    content += b"\0" * (-len(content) % 4)
    document |= {"buffers": [{"byteLength": len(content)}], "bufferViews": buffer.views, "accessors": buffer.accessors}
    document = {key: value for key, value in document.items() if value != []}
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(content)))
        stream.write(struct.pack("<I4s", len(text), b"JSON") + text)
        stream.write(struct.pack("<I4s", len(content), b"BIN\0") + content)
