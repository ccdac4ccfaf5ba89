"""Writes the copy of an imported head that the rasteriser draws: the file's own materials on the mended geometry."""

import numpy as np

from ..export import tangents
from ..gltf import Buffer, write_document

KEPT = ("materials", "textures", "samplers")
# Both sides are drawn: through a collar one sees the inside of the cloth, not what is behind the head.
TWO_SIDED_ROLES = ("skin", "cloth", "hair", "brow", "lash")


def _attributes(buffer, part, positions, normals, has_relief):
    single = lambda values: np.asarray(values, np.float32)
    attributes = {"POSITION": buffer.accessor(single(positions), bounds=True), "NORMAL": buffer.accessor(single(normals))}
    if part.uvs is not None:
        attributes["TEXCOORD_0"] = buffer.accessor(single(part.uvs))
        if has_relief:
            upright = part.uvs * [1, -1] + [0, 1]
            attributes["TANGENT"] = buffer.accessor(single(tangents(positions, normals, upright, part.triangles)))
    return attributes | {name: buffer.accessor(values) for name, values in part.others.items()}


def _add_occlusion(made, buffer, occlusion):
    """Gives materials their baked occlusion: {material: encoded bytes}."""
    for material, content in occlusion.items():
        made.setdefault("images", []).append({"bufferView": buffer.view(content), "mimeType": "image/jpeg"})
        made["textures"] = [*made.get("textures", []), {"source": len(made["images"]) - 1}]
        made["materials"][material] = made["materials"][material] | {"occlusionTexture": {"index": len(made["textures"]) - 1}}


def write_copy(path, figure):
    """Writes a `figure.Figure` with its file's materials, mended images and baked occlusion."""
    imported = figure.imported
    document, images = imported.document, imported.images
    made = {"asset": {"version": "2.0", "generator": "head_studio import"}, "scene": 0, "nodes": [], "meshes": []}
    made |= {kind: document.json[kind] for kind in KEPT if document.json.get(kind)}
    used = [name for name in document.entries("extensionsUsed")
            if name.startswith("KHR_materials_") or name == "KHR_texture_transform"]
    if used:
        made["extensionsUsed"] = used
    buffer = Buffer()
    if document.entries("images"):
        contents = [images.get(index) or document.image(index) for index in range(len(document.entries("images")))]
        made["images"] = [{"bufferView": buffer.view(content),
                           "mimeType": "image/jpeg" if content[:2] == b"\xff\xd8" else "image/png"} for content in contents]
    two_sided = {part.material for part in figure.parts if part.role in TWO_SIDED_ROLES}
    made["materials"] = [entry | {"doubleSided": True} if index in two_sided else entry
                         for index, entry in enumerate(made.get("materials", []))]
    _add_occlusion(made, buffer, imported.occlusion)
    for part, positions, normals in zip(figure.parts, figure.positions, figure.normals):
        has_relief = part.material is not None and "normalTexture" in made["materials"][part.material]
        primitive = {"attributes": _attributes(buffer, part, positions, normals, has_relief), "mode": 4,
                     "indices": buffer.accessor(part.triangles.astype(np.uint32).ravel(), target=34963)}
        if part.material is not None:
            primitive["material"] = part.material
        made["meshes"].append({"name": part.name, "primitives": [primitive]})
        made["nodes"].append({"name": part.name, "mesh": len(made["meshes"]) - 1})
    made["scenes"] = [{"nodes": list(range(len(made["nodes"])))}]
    write_document(path, {key: value for key, value in made.items() if value != []}, buffer)
