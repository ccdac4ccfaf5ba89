"""Makes small GLB files of a game head, for the tests of `imported`: spheres for head, eyes and hair, a box for teeth."""

import json
import struct

import numpy as np

from head_studio.export import encode_image, to_srgb
from head_studio.gltf import Material, Mesh, write_glb

EYE_DISTANCE_M = 0.064
SKIN_LINEAR, CLOTH_LINEAR = (0.52, 0.29, 0.20), (0.03, 0.06, 0.32)


def ball(centre, radii, segments=24, rings=16):
    """Positions, normals, uvs (v down) and triangles of an ellipsoid."""
    theta = np.linspace(0.02, np.pi - 0.02, rings + 1)[:, None]
    phi = np.linspace(0, 2 * np.pi, segments + 1)
    directions = np.stack(np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)), -1)
    uvs = np.stack(np.broadcast_arrays(phi / (2 * np.pi), theta / np.pi), -1).reshape(-1, 2)
    ring, k = (grid.ravel() for grid in np.meshgrid(np.arange(rings), np.arange(segments), indexing="ij"))
    here = ring * (segments + 1) + k
    below = here + segments + 1
    triangles = np.concatenate([np.stack([here, below, below + 1], 1), np.stack([here, below + 1, here + 1], 1)])
    normals = directions / radii
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return (directions * radii + centre).reshape(-1, 3), normals.reshape(-1, 3), uvs, triangles


def atlas(size_px=256):
    """A picture that is skin in its upper part and cloth below."""
    image = np.empty((size_px, size_px, 3))
    image[:] = to_srgb(np.array(SKIN_LINEAR))
    image[int(0.62 * size_px):] = to_srgb(np.array(CLOTH_LINEAR))
    return encode_image(image)


def parts(jaw=True):
    """{name: (positions, normals, uvs, triangles)} of head with bust, eyes, teeth and hair; metres, eyes at y = 1.6."""
    head = ball((0, 1.59, 0.0), (0.075, 0.115, 0.10))
    bust = ball((0, 1.36, -0.02), (0.20, 0.12, 0.09))
    skin = [np.concatenate([head[k], bust[k]]) for k in range(3)]
    skin[2] = np.concatenate([head[2] * [1, 0.6], bust[2] * [1, 0.38] + [0, 0.62]])
    made = {"Skin": (*skin, np.concatenate([head[3], bust[3] + len(head[0])]))}
    for name, side in (("EyeLeft", 1), ("EyeRight", -1)):
        made[name] = ball((side * EYE_DISTANCE_M / 2, 1.6, 0.085), (0.012,) * 3, 16, 12)
    made["Teeth"] = ball((0, 1.535, 0.075), (0.02, 0.006, 0.01), 8, 6)
    made["Hair"] = ball((0, 1.65, -0.02), (0.08, 0.075, 0.09))
    return made


def write_head(path, one_mesh=False, names=None, textured=False):
    """Writes the head; `one_mesh` joins skin and eyes, `names` {part: material} renames materials and nodes."""
    made, names = parts(), names or {}
    if one_mesh:
        joined = [made.pop(name) for name in ("Skin", "EyeLeft", "EyeRight")]
        starts = np.cumsum([0, *(len(part[0]) for part in joined[:-1])])
        made = {"Skin": (*(np.concatenate([part[k] for part in joined]) for k in range(3)),
                         np.concatenate([part[3] + start for part, start in zip(joined, starts)]))}
    meshes = []
    for name, (positions, normals, uvs, triangles) in made.items():
        label = names.get(name, name)
        image = atlas() if textured and name == "Skin" else None
        colour = SKIN_LINEAR if name == "Skin" and not textured else (1.0, 1.0, 1.0)
        material = Material(label, colour, 0.5, colour_image=image)
        down = np.where(positions[:, 1:2] < 1.56, positions * 0 + np.array([0, -0.02, 0]), 0.0)
        morphs = {"jaw_Open": down} if name == "Skin" else {}
        meshes.append(Mesh(label, positions, normals, triangles, material, uvs, morphs=morphs))
    write_glb(path, meshes)


def read_json(path):
    content = path.read_bytes()
    length, = struct.unpack_from("<I", content, 12)
    return json.loads(content[20:20 + length]), content[20 + length:]


def edit(path, change):
    """Changes the JSON of a GLB in place with `change(json)`."""
    document, rest = read_json(path)
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest)) + struct.pack("<I4s", len(text), b"JSON")
                     + text + rest)


def put_under(path, **transform):
    """Puts all nodes of a GLB under a new one with this translation, rotation, scale or matrix."""
    def change(document):
        nodes = document["scenes"][0]["nodes"]
        document["nodes"].append({"name": "Armature", "children": list(nodes)} | transform)
        document["scenes"][0]["nodes"] = [len(document["nodes"]) - 1]
    edit(path, change)
