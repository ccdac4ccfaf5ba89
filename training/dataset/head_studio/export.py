"""A figure as glTF meshes for a rasteriser: indexed skin with tangents, eyes, cloth, and ribbons."""

import functools
import io

import numpy as np
from PIL import Image

from . import eyes, masks, materials, strands
from .anatomy import head_part
from .clothes import collar_height
from .gltf import Material, Mesh
from .identity import generator
from .noise import smoothstep
from .subdivision import triangles_of, unit, vertex_normals
from .texture_space import head_uvs, texture_space

HAIR_TRIANGLES, BROW_RIBBONS, LASH_RIBBONS, STUBBLE_RIBBONS = 70_000, 900, 420, 5000
HAIR_POINTS = {"buzz": 3, "short": 5, "side": 7, "bob": 11, "long": 14}
MOUTH_OCCLUSION, MOUTH_LIGHT, MOUTH_ROUGHNESS, BROW_PAINT = 0.85, 0.3, 0.8, 0.6
HIDDEN_BELOW_COLLAR = 0.3      # decimetres under the shirt's edge from which skin is left out
RIBBON_ROUGHNESS = 0.8         # broad: a narrow highlight on wide ribbons reads as wire
# Ribbon area over strand area, by kind: a rasteriser drops hair thinner than a sample, lashes and stubble are opaque enough.
COVERAGE = {"hair": 1.5, "brow": 0.5, "lash": 0.62}


def to_srgb(linear):
    """sRGB-encoded 0..1 of linear 0..1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def encode_image(values, quality=92):
    """JPEG bytes of [H, W, 3] values 0..1; full chroma resolution."""
    stream = io.BytesIO()
    Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)).save(
        stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


@functools.cache
def _head_layout(coarse):
    """Vertices split at texture seams: source vertex [W], uvs [W, 2] (v up), triangles [T, 3].

    `coarse` joins each four quads of the last subdivision: the first corners of four sibling quads
    are the corners of their parent.
    """
    quads, uvs = head_part().mesh.quads, head_uvs()
    if coarse:
        quads, uvs = quads[:, 0].reshape(-1, 4), uvs[:, 0].reshape(-1, 4, 2)
    rest = head_part().rest
    visible = (rest[quads, 1] > collar_height(rest[quads]) - HIDDEN_BELOW_COLLAR).any(1)
    quads, uvs = quads[visible], uvs[visible]
    keys = np.concatenate([quads.reshape(-1, 1), np.round(uvs.reshape(-1, 2) * 65536).astype(int)], 1)
    _, first, index = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    split_quads = index.reshape(quads.shape)
    return quads.ravel()[first], uvs.reshape(-1, 2)[first], triangles_of(split_quads)


def tangents(positions, normals, uvs, triangles):
    """[V, 4]: unit tangent along +u, and the sign of the bitangent along +v (up)."""
    p, t = positions[triangles], uvs[triangles]
    edge1, edge2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    uv1, uv2 = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    area = uv1[:, 0] * uv2[:, 1] - uv2[:, 0] * uv1[:, 1]
    along_u = unit((edge1 * uv2[:, 1:] - edge2 * uv1[:, 1:]) * np.sign(area)[:, None])
    along_v = unit((edge2 * uv1[:, :1] - edge1 * uv2[:, :1]) * np.sign(area)[:, None])
    weight = np.linalg.norm(np.cross(edge1, edge2), axis=1)[:, None]
    sums = np.zeros((2, len(positions), 3))
    for corner in range(3):
        for axis in range(3):
            for k, direction in enumerate((along_u, along_v)):
                sums[k, :, axis] += np.bincount(triangles[:, corner], (direction * weight)[:, axis], len(positions))
    tangent = unit(sums[0] - normals * (sums[0] * normals).sum(1, keepdims=True))
    degenerate = np.linalg.norm(tangent, axis=1) < 0.5
    tangent[degenerate] = unit(np.cross(normals[degenerate], [0.31, 0.52, 0.79]))
    sign = np.where((np.cross(normals, tangent) * sums[1]).sum(1) >= 0, 1.0, -1.0)
    return np.concatenate([tangent, sign[:, None]], 1)


def skin_material(textures, identity):
    """Brows are also painted, as games do it under their few strands. Occlusion, of the mouth's inside alone, is in
    the surface image's red and roughness in its green."""
    space = texture_space(textures.roughness.shape[0])
    light = space.spread(1 - MOUTH_OCCLUSION * smoothstep(0.3, 0.7, masks.inside_mouth(space.base_uv)))
    melanin, redness, roughness, _ = materials.strand_shades(identity)["brow"]
    paint = space.spread(BROW_PAINT * min(1.0, identity.brow_density) * masks.brows(space.rest))[..., None]
    albedo = textures.albedo_linear * (1 - paint) + materials.hair_albedo_linear(melanin, redness, roughness) * paint
    surface = np.stack([light, textures.roughness, np.zeros_like(textures.roughness)], 2)
    return Material("Skin", roughness=1.0, colour_image=encode_image(to_srgb(albedo)),
                    surface_image=encode_image(surface, 90), normal_image=encode_image(textures.normal * 0.5 + 0.5, 94))


def _head_mesh(figure, material, moved, coarse):
    source, uvs, triangles = _head_layout(coarse)
    normals_of = head_part().normals
    positions, normals = figure.head[source], normals_of(figure.head)[source]
    return Mesh("Head", positions, normals, triangles, material, uvs * [1, -1] + [0, 1],
                tangents(positions, normals, uvs, triangles),
                {name: (other.head - figure.head)[source] for name, other in moved.items()},
                {name: normals_of(other.head)[source] - normals for name, other in moved.items()})


def _plain_mesh(name, positions, quads, material, morphs=None):
    return Mesh(name, positions, vertex_normals(positions, quads), triangles_of(quads), material, morphs=morphs or {})


def _eye_meshes(figure, eye_albedo):
    material = Material("Eye", roughness=0.12, colour_image=encode_image(to_srgb(eye_albedo)))
    vertices, quads, uvs = eyes.globe(flat_iris=False)
    for place in figure.eyes:
        local = vertices @ place.rotation.T * place.radius_m
        yield Mesh(f"Eye.{place.side}", local, vertex_normals(local, quads), triangles_of(quads), material,
                   uvs * [1, -1] + [0, 1], translation=tuple(place.centre_m))


def _ribbon_plan(bundle, identity, triangle_share):
    """Which strands become ribbons, how many points each, half widths and twists."""
    count, length = bundle.points.shape[:2]
    draw = generator(identity.number, "ribbons " + bundle.name)
    if bundle.kind == "hair":
        points = HAIR_POINTS[identity.hair_style]
        keep = int(HAIR_TRIANGLES * triangle_share / (2 * (points - 1)))
    else:
        points = min(length, 4)
        keep = int({"Brows": BROW_RIBBONS, "Lashes": LASH_RIBBONS}.get(bundle.name, STUBBLE_RIBBONS) * triangle_share)
    chosen = strands.subset(bundle, keep, draw)
    gain = max(1.0, count / len(chosen) * COVERAGE[bundle.kind]) if len(chosen) < count else 1.0
    widths = bundle.root_radius_m * gain * draw.uniform(0.75, 1.25, len(chosen))
    return chosen, points, widths, draw.normal(0, 0.55, len(chosen))


def _ribbon_meshes(bundle, figure, moved_bundles, triangle_share):
    """The bundle's ribbons: one mesh of the dark strands' and one of the grey strands'."""
    chosen, points, widths, twist = _ribbon_plan(bundle, figure.identity, triangle_share)
    first = 1 if bundle.kind == "hair" else 0     # its first point lies under the skin
    melanin, redness, roughness, _ = materials.strand_shades(figure.identity)[bundle.kind]
    bleached = bundle.grey[chosen] > 0.5
    # Albedos mix by their logarithms, since light meets many strands before it leaves.
    dark, light = (materials.hair_albedo_linear(amount, redness, roughness + 0.05) for amount in (melanin, 0.0))
    grey_shares = strands.grey_shares(bundle.grey, len(bundle.points) / max(len(chosen), 1))
    for suffix, part, share in zip(("", ".grey"), (~bleached, bleached), grey_shares):
        if not part.any():
            continue
        strand = chosen[part]
        make = lambda source: strands.ribbons(strands.resample(source.points[strand, first:], points),
                                              bundle.root_normals[strand], widths[part], twist[part])
        positions, normals, triangles = make(bundle)
        morphs = {}
        for name, moved in moved_bundles.items():
            offsets = make(moved)[0] - positions
            if abs(offsets).max() > 1e-5:
                morphs[name] = offsets
        material = Material(bundle.name + suffix, tuple(dark ** (1 - share) * light ** share), RIBBON_ROUGHNESS, double_sided=True)
        yield Mesh(bundle.name + suffix, positions, normals, triangles, material, morphs=morphs)


def figure_meshes(figure, material, eye_albedo, moved=None, triangle_share=1.0, coarse_head=False):
    """All glTF meshes of a figure. `moved` {morph name: Figure at weight one} adds morph targets.

    Strands of a moved figure must match the figure's own, one to one.
    """
    moved = moved or {}
    meshes = [_head_mesh(figure, material, moved, coarse_head), *_eye_meshes(figure, eye_albedo)]
    positions, normals, quads = figure.shirt
    cloth = Material("Cloth", figure.identity.cloth_linear, 0.85)
    meshes.append(Mesh("Shirt", positions, normals, triangles_of(quads), cloth))
    # Baked occlusion, as games do it: a rasteriser's surroundings shine into the mouth.
    dark = lambda colour: tuple(MOUTH_LIGHT * value for value in colour)
    teeth = Material("Teeth", dark(materials.TEETH_LINEAR), MOUTH_ROUGHNESS)
    tongue = Material("Tongue", dark(materials.TONGUE_LINEAR), MOUTH_ROUGHNESS)
    for name, (positions, quads) in figure.mouth.items():
        morphs = {morph: other.mouth[name][0] - positions for morph, other in moved.items()}
        morphs = {morph: offsets for morph, offsets in morphs.items() if abs(offsets).max() > 1e-5}
        meshes.append(_plain_mesh(name, positions, quads, tongue if name == "Tongue" else teeth, morphs))
    for index, bundle in enumerate(figure.strands):
        bundles = {name: other.strands[index] for name, other in moved.items()}
        meshes.extend(_ribbon_meshes(bundle, figure, bundles, triangle_share))
    return meshes
