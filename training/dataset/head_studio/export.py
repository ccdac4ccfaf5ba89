"""A figure as glTF meshes for a rasteriser: indexed skin with tangents, eyes, cloth, and ribbons."""

import functools
import io
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from . import cards, eyes, masks, materials, occlusion, painting, strands
from .anatomy import head_part
from .cloth_texture import make_cloth
from .clothes import collar_height
from .gltf import Material, Mesh
from .identity import generator
from .noise import smoothstep
from .subdivision import triangles_of, unit, vertex_normals
from .texture_space import head_uvs, rasterise, texture_space

# Ribbons by bundle: how many, their half width, and how many strands each shows.
HAIR_RIBBONS = {"short": (3600, 0.0020, 24), "curls": (3600, 0.0022, 26), "side": (3200, 0.0025, 30), "back": (3200, 0.0025, 30),
                "tied": (3000, 0.0026, 32), "bob": (2400, 0.0034, 40), "long": (2400, 0.0034, 40)}
RIBBONS = {"Brows": (1300, 0.0003, 1), "Lashes": (150, 0.0008, 7)}
HAIR_POINTS = {"short": 5, "curls": 8, "side": 7, "back": 7, "tied": 13, "bob": 11, "long": 14}
RIBBON_SHADES = 4              # of hair's ribbons, side by side in their texture: from the lightest locks to the darkest
TWIST = 0.1                    # radians, standard deviation
# Painted into the skin: how much more a bundle covers than along the skin's normal, which it is rarely seen along.
PAINT_GAIN = {"Brows": 1.3, "Hair": 3.0, "Stubble": 1.2, "Beard": 1.5}
PAINT_BLUR_PX = {"Brows": 0.8, "Hair": 1.8, "Stubble": 1.4, "Beard": 2.0}
BROW_PAINT_UNDER_STRANDS = 0.6
MOUTH_OCCLUSION, MOUTH_LIGHT, MOUTH_ROUGHNESS = 0.85, 0.3, 0.8
HIDDEN_BELOW_COLLAR = 0.3      # decimetres under the shirt's edge from which skin is left out
# Baked into hair, as games do: surroundings shine into a rasteriser's. Of ribbons at the root and at the tip, and of cards.
HAIR_OCCLUSION, CARD_OCCLUSION = (0.4, 0.75), 0.65
RIBBON_ROUGHNESS = 0.6         # broad: a narrow highlight on wide ribbons reads as wire
OCCLUSION_SHARE, OCCLUSION_PX = 0.75, 256      # of identities whose skin has baked occlusion, as most games' has
HEAD_CENTRE_M = np.array([0, 0.03, -0.02])     # from the mean of the head's vertices, which the face crowds
CARD_CUTOFF = 0.4              # alpha below which masked cards show nothing


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


def encode_cards(colour_linear, alpha):
    """PNG bytes with alpha of colours [H, W, 3] and [H, W]."""
    values = np.dstack([to_srgb(colour_linear), np.clip(alpha, 0, 1)])
    stream = io.BytesIO()
    Image.fromarray((values * 255 + 0.5).astype(np.uint8)).save(stream, "PNG", compress_level=4)
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


def is_painted(bundle, identity):
    """True if the first image shows a bundle in the skin's texture alone."""
    return bundle.name in ("Stubble", "Beard") or bundle.name == "Hair" and identity.hair_style == "buzz"


def bundle_albedo(bundle, identity, shade=1.0):
    """Linear colour [3] of a bundle as a whole, whose melanin absorbs `shade` times what the identity's does. Albedos mix by
    their logarithms: light meets many strands before it leaves."""
    melanin, redness, roughness, _ = materials.strand_shades(identity)[bundle.kind]
    melanin = 1 - (1 - melanin) ** shade
    dark, light = (materials.hair_albedo_linear(amount, redness, roughness + 0.05) for amount in (melanin, 0.0))
    share = float(bundle.grey.mean()) if len(bundle.grey) else 0.0
    return dark ** (1 - share) * light ** share


_latest_openness = (None, None)        # an identity's number, and its answer of `_baked_openness`


def _baked_openness(figure):
    """Openness [OCCLUSION_PX, OCCLUSION_PX] of the identity's head without expression, over shirt and eyeballs."""
    global _latest_openness
    if _latest_openness[0] != figure.identity.number:
        source, uvs, triangles = _head_layout(True)
        head = figure.neutral_head
        globe, globe_quads, _ = eyes.globe()
        balls = [(globe @ eye.rotation.T * eye.radius_m + eye.centre_m, globe_quads) for eye in figure.eyes]
        tree = occlusion.tree_of([(head[source], triangles), (figure.shirt[0], figure.shirt[2]), *balls])
        used, index = np.unique(source, return_inverse=True)
        open_above = occlusion.openness(head[used], head_part().normals(head)[used], tree)[index]
        plane, covered = rasterise(uvs[triangles], open_above[triangles][..., None], OCCLUSION_PX)
        nearest = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
        _latest_openness = (figure.identity.number, plane[nearest[0], nearest[1], 0])
    return _latest_openness[1]


def _occlusion(figure, size_px):
    """Occlusion [S, S] of the skin: baked for most identities, in the others of the mouth's inside alone."""
    space = texture_space(size_px)
    mouth = space.spread(1 - MOUTH_OCCLUSION * smoothstep(0.3, 0.7, masks.inside_mouth(space.base_uv)))
    if generator(figure.identity.number, "occlusion").random() >= OCCLUSION_SHARE:
        return mouth
    baked = Image.fromarray(_baked_openness(figure).astype(np.float32)).resize((size_px, size_px), Image.BILINEAR)
    return np.minimum(mouth, np.asarray(baked))


def skin_material(textures, figure):
    """The skin with brows, stubble, beard and shaved hair painted on. Occlusion is in the surface image's
    red and roughness in its green."""
    size_px, identity = textures.roughness.shape[0], figure.identity
    albedo = textures.albedo_linear
    for bundle in figure.strands:
        if is_painted(bundle, identity) or bundle.name == "Brows":
            share = BROW_PAINT_UNDER_STRANDS if bundle.name == "Brows" and figure.look.brow_style == "strands" else 1.0
            cover = share * painting.painted_cover(bundle, size_px, PAINT_GAIN[bundle.name], PAINT_BLUR_PX[bundle.name])
            cover = cover[..., None]
            albedo = albedo * (1 - cover) + bundle_albedo(bundle, identity) * cover
    surface = np.stack([_occlusion(figure, size_px), textures.roughness, np.zeros_like(textures.roughness)], 2)
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
    vertices, quads, uvs = eyes.globe()
    for place in figure.eyes:
        local = vertices @ place.rotation.T * place.radius_m
        yield Mesh(f"Eye.{place.side}", local, vertex_normals(local, quads), triangles_of(quads), material,
                   uvs * [1, -1] + [0, 1], translation=tuple(place.centre_m))


def _alpha_mode(kind, card_alpha, sorted_cards):
    """glTF's alpha mode of cards. Fine brows and lashes are blended where hair is masked, as games do: cut off, they are
    dots."""
    return "MASK" if kind == "hair" and (card_alpha != "blend" or not sorted_cards) else "BLEND"


def _card_material(name, kind, colour, alpha, card_alpha, sorted_cards):
    return Material(name, roughness=RIBBON_ROUGHNESS, double_sided=True, colour_image=encode_cards(colour, alpha),
                    alpha_mode=_alpha_mode(kind, card_alpha, sorted_cards), alpha_cutoff=CARD_CUTOFF)


def _ribbon_mesh(bundle, figure, moved_bundles, triangle_share, card_alpha):
    """The bundle's ribbons, each of which shows many strands."""
    identity = figure.identity
    is_hair = bundle.name == "Hair"
    keep, half_width_m, shown = HAIR_RIBBONS[identity.hair_style] if is_hair else RIBBONS[bundle.name]
    points = HAIR_POINTS[identity.hair_style] if is_hair else 4
    first = 1 if bundle.kind == "hair" else 0     # its first point lies under the skin
    draw = generator(identity.number, "ribbons " + bundle.name)
    chosen = strands.subset(bundle, int(keep * triangle_share), draw)
    widths, twist = half_width_m * draw.uniform(0.75, 1.25, len(chosen)), draw.normal(0, TWIST, len(chosen))
    centre_m = figure.head.mean(0) + HEAD_CENTRE_M

    def make(source):
        along = strands.resample(source.points[chosen, first:], points)
        away = strands.around_head(along, centre_m) if is_hair else source.root_normals[chosen][:, None]
        return strands.ribbons(along, away, widths, twist)

    positions, normals, triangles = make(bundle)
    morphs = {name: make(moved)[0] - positions for name, moved in moved_bundles.items()}
    morphs = {name: offsets for name, offsets in morphs.items() if abs(offsets).max() > 1e-5}
    tone, shades = strands.by_shade(bundle, chosen, RIBBON_SHADES if is_hair else 1)
    grey = float(bundle.grey.mean()) if bundle.kind == "hair" else 0.0
    textures = [strands.ribbon_texture(draw, shown, grey) for _ in shades]
    alpha = np.concatenate([alpha for alpha, _ in textures], 1)
    colour = np.concatenate([pattern[..., None] * bundle_albedo(bundle, identity, shade)
                             for (_, pattern), shade in zip(textures, shades)], 1)
    material = _card_material(bundle.name, bundle.kind, colour, alpha, card_alpha, False)
    if bundle.kind == "hair":
        occlusion = np.linspace(*HAIR_OCCLUSION, 64)[:, None, None]
        surface = np.concatenate([occlusion, np.full_like(occlusion, RIBBON_ROUGHNESS), np.zeros_like(occlusion)], 2)
        material = replace(material, roughness=1.0, surface_image=encode_image(np.tile(surface, (1, 4, 1))))
    return Mesh(bundle.name, positions, normals, triangles, material, strands.ribbon_uvs(tone, len(shades), points),
                morphs=morphs)


def card_albedo(one, identity):
    """Linear colour [S, S, 3] of a card's texels: the same for both engines."""
    melanin, redness, roughness, _ = materials.strand_shades(identity)[one.kind]
    dark, light = (materials.hair_albedo_linear(amount, redness, roughness + 0.05) for amount in (melanin, 0.0))
    grey = identity.grey if one.kind == "hair" else 0.0
    return cards.colours(one, dark ** (1 - grey) * light ** grey)


def _card_mesh(one, identity, card_alpha):
    source, uvs, triangles = one.split()
    material = _card_material(one.name, one.kind, card_albedo(one, identity), one.alpha, card_alpha, True)
    if one.kind == "hair":
        surface = encode_image(np.tile([CARD_OCCLUSION, RIBBON_ROUGHNESS, 0.0], (8, 8, 1)))
        material = replace(material, roughness=1.0, surface_image=surface)
    return Mesh(one.name, one.positions[source], one.normals()[source], triangles, material, uvs * [1, -1] + [0, 1])


def _shirt_mesh(figure):
    positions, normals, quads, uvs = figure.shirt
    texture, triangles = make_cloth(figure.identity), triangles_of(quads)
    material = Material("Cloth", roughness=0.85, colour_image=encode_image(to_srgb(texture.albedo_linear)),
                        normal_image=encode_image(texture.normal * 0.5 + 0.5, 94), tiled=True)
    return Mesh("Shirt", positions, normals, triangles, material, uvs * [1, -1] + [0, 1],
                tangents(positions, normals, uvs, triangles))


def _item_mesh(item):
    material = Material(item.name, item.colour_linear, item.roughness, True, metallic=item.metallic, alpha=item.alpha,
                        alpha_mode="BLEND" if item.alpha < 1 else "OPAQUE")
    return Mesh(item.name, item.positions, item.normals(), item.triangles, material)


def figure_meshes(figure, material, eye_albedo, moved=None, triangle_share=1.0, coarse_head=False, card_alpha="mask"):
    """All glTF meshes of a figure. `moved` {morph name: Figure at weight one} adds morph targets, `card_alpha` is
    `rendering`'s (`variation.py`).

    Strands of a moved figure must match the figure's own, one to one.
    """
    moved = moved or {}
    meshes = [_head_mesh(figure, material, moved, coarse_head), *_eye_meshes(figure, eye_albedo)]
    meshes.append(_shirt_mesh(figure))
    # Baked occlusion, as games do it: a rasteriser's surroundings shine into the mouth.
    dark = lambda colour: tuple(MOUTH_LIGHT * value for value in colour)
    teeth = Material("Teeth", dark(materials.TEETH_LINEAR), MOUTH_ROUGHNESS)
    tongue = Material("Tongue", dark(materials.TONGUE_LINEAR), MOUTH_ROUGHNESS)
    for name, (positions, quads) in figure.mouth.items():
        morphs = {morph: other.mouth[name][0] - positions for morph, other in moved.items()}
        morphs = {morph: offsets for morph, offsets in morphs.items() if abs(offsets).max() > 1e-5}
        meshes.append(_plain_mesh(name, positions, quads, tongue if name == "Tongue" else teeth, morphs))
    for index, bundle in enumerate(figure.strands):
        if is_painted(bundle, figure.identity) or bundle.name == "Brows" and figure.look.brow_style == "painted":
            continue
        bundles = {name: other.strands[index] for name, other in moved.items()}
        meshes.append(_ribbon_mesh(bundle, figure, bundles, triangle_share, card_alpha))
    meshes += [_card_mesh(one, figure.identity, card_alpha) for one in figure.cards]
    return meshes + [_item_mesh(item) for item in figure.items]
