"""A figure as glTF meshes for a rasteriser: indexed skin with tangents, eyes, cloth, and ribbons."""

import functools
import io
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from . import cards, eyes, locks, masks, materials, occlusion, painting, strands
from .anatomy import head_part
from .cloth_texture import make_cloth
from .clothes import collar_height
from .gltf import Material, Mesh
from .identity import generator
from .noise import smoothstep
from .subdivision import triangles_of, unit, vertex_normals
from .texture_space import head_uvs, rasterise, texture_space

# Ribbons of brows and lashes, each of which shows one strand: how many, and their half width in metres.
RIBBONS = {"Brows": (1300, 0.0003), "Lashes": (450, 0.0004)}
RIBBON_POINTS, RIBBON_TWIST = 4, 0.1           # radians, standard deviation
HAIR_SHARE = {"bob": 0.75, "long": 0.65}      # of strips that are long, and wider instead
BLENDED_CUTOFF = 0.6           # alpha from which blended hair is solid, and hides what is behind it
SCALP_STUB_M, SCALP_OCCLUSION = 0.006, 0.5     # of each strand, painted on the skin under hair, which is hidden so much
# Painted into the skin: how much more a bundle covers than along the skin's normal, which it is rarely seen along.
PAINT_GAIN = {"Brows": 1.3, "Hair": 3.0, "Scalp": 25.0, "Stubble": 1.2, "Beard": 1.5}
PAINT_BLUR_PX = {"Brows": 0.8, "Hair": 1.8, "Scalp": 3.0, "Stubble": 1.4, "Beard": 2.0}
BROW_PAINT_UNDER_STRANDS = 0.6
MOUTH_OCCLUSION, MOUTH_LIGHT, MOUTH_ROUGHNESS = 0.85, 0.9, 0.8      # light: over what is open
HIDDEN_BELOW_COLLAR = 0.3      # decimetres under the shirt's edge from which skin is left out
# Baked into hair, as games do: surroundings shine into a rasteriser's. Of locks at the root and at the tip, and of packs' cards.
HAIR_OCCLUSION, CARD_OCCLUSION = (0.6, 0.85), 0.65
RIBBON_ROUGHNESS = 0.6         # broad: a narrow highlight on wide ribbons reads as wire
# Of strands' albedo: long locks lie deep, and light is lost between them, but not in a shell of cards.
HAIR_LIGHT = {"bob": 0.72, "long": 0.58, "curls": 1.4}
HAIR_SPECULAR = 0.45           # strands are round: they reflect less of a light behind the head than a card does
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


def bundle_albedo(bundle, identity):
    """Linear colour [3] of a bundle as a whole."""
    return strand_albedo(identity, bundle.kind, 1.0, float(bundle.grey.mean()) if len(bundle.grey) else 0.0)


def strand_albedo(identity, kind, shade, grey):
    """Linear colours [..., 3] of strands whose melanin absorbs `shade` [...] times what the identity's does, and of which a share
    `grey` [...] has none. Albedos mix by their logarithms: light meets many strands before it leaves."""
    melanin, redness, roughness, _ = materials.strand_shades(identity)[kind]
    melanin, share = 1 - (1 - melanin) ** np.asarray(shade), np.asarray(grey)[..., None]
    dark, light = (materials.hair_albedo_linear(amount, redness, roughness + 0.05) for amount in (melanin, 0.0))
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
    red and roughness in its green. Under hair that is cards, its roots are painted: no skin shows between them."""
    size_px, identity = textures.roughness.shape[0], figure.identity
    albedo, roughness, hidden = textures.albedo_linear, textures.roughness, 0.0
    for bundle in figure.strands:
        if bundle.name == "Hair" and not is_painted(bundle, identity):
            stubs = strands.cut_off(bundle, SCALP_STUB_M)
            cover = painting.painted_cover(stubs, size_px, PAINT_GAIN["Scalp"], PAINT_BLUR_PX["Scalp"])[..., None]
            albedo = albedo * (1 - cover) + locks.ROOT_SHADE * bundle_albedo(bundle, identity) * cover
            roughness, hidden = roughness + (1 - roughness) * cover[..., 0], SCALP_OCCLUSION * cover[..., 0]
        elif is_painted(bundle, identity) or bundle.name == "Brows":
            share = BROW_PAINT_UNDER_STRANDS if bundle.name == "Brows" and figure.look.brow_style == "strands" else 1.0
            cover = share * painting.painted_cover(bundle, size_px, PAINT_GAIN[bundle.name], PAINT_BLUR_PX[bundle.name])
            cover = cover[..., None]
            albedo = albedo * (1 - cover) + bundle_albedo(bundle, identity) * cover
    surface = np.stack([_occlusion(figure, size_px) * (1 - hidden), roughness, np.zeros_like(roughness)], 2)
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


def _mouth_meshes(figure, moved):
    """Teeth and tongue with baked occlusion, as games have them: a rasteriser's light shines into the mouth. It is that of the
    widest mouth that the figure may have."""
    source, _, triangles = _head_layout(True)
    widest = moved.get("jawOpen", figure)
    tree = occlusion.tree_of([(widest.head[source], triangles)])
    for name, (positions, quads) in figure.mouth.items():
        morphs = {morph: other.mouth[name][0] - positions for morph, other in moved.items()}
        morphs = {morph: offsets for morph, offsets in morphs.items() if abs(offsets).max() > 1e-5}
        inside = widest.mouth[name][0]
        light = occlusion.openness(inside, vertex_normals(inside, quads), tree)
        tongue = name == "Tongue"
        material = Material("Tongue" if tongue else "Teeth", materials.TONGUE_LINEAR if tongue else materials.TEETH_LINEAR,
                            MOUTH_ROUGHNESS)
        mesh = _plain_mesh(name, positions, quads, material, morphs)
        yield replace(mesh, colours_linear=np.repeat(MOUTH_LIGHT * light[:, None], 3, 1))


def _plain_mesh(name, positions, quads, material, morphs=None):
    return Mesh(name, positions, vertex_normals(positions, quads), triangles_of(quads), material, morphs=morphs or {})


def _eye_meshes(figure, eye_albedo):
    material = Material("Eye", roughness=0.12, colour_image=encode_image(to_srgb(eye_albedo)))
    vertices, quads, uvs = eyes.globe()
    for place in figure.eyes:
        local = vertices @ place.rotation.T * place.radius_m
        yield Mesh(f"Eye.{place.side}", local, vertex_normals(local, quads), triangles_of(quads), material,
                   uvs * [1, -1] + [0, 1], translation=tuple(place.centre_m))


def _alpha_mode(kind, card_alpha):
    """glTF's alpha mode of cards. Fine brows and lashes are blended where hair is masked, as games do: cut off, they are
    dots."""
    return "MASK" if kind == "hair" and card_alpha != "blend" else "BLEND"


def _card_material(name, kind, colour, alpha, card_alpha):
    return Material(name, roughness=RIBBON_ROUGHNESS, double_sided=True, colour_image=encode_cards(colour, alpha),
                    alpha_mode=_alpha_mode(kind, card_alpha), alpha_cutoff=CARD_CUTOFF)


def _ribbon_mesh(bundle, figure, moved_bundles, triangle_share, card_alpha):
    """The ribbons of brows or lashes, each of which shows one strand."""
    identity = figure.identity
    keep, half_width_m = RIBBONS[bundle.name]
    draw = generator(identity.number, "ribbons " + bundle.name)
    chosen = strands.subset(bundle, int(keep * triangle_share), draw)
    widths, twist = half_width_m * draw.uniform(0.75, 1.25, len(chosen)), draw.normal(0, RIBBON_TWIST, len(chosen))

    def make(source):
        along = strands.resample(source.points[chosen], RIBBON_POINTS)
        return strands.ribbons(along, source.root_normals[chosen][:, None], widths, twist)

    positions, normals, triangles = make(bundle)
    morphs = {name: make(moved)[0] - positions for name, moved in moved_bundles.items()}
    morphs = {name: offsets for name, offsets in morphs.items() if abs(offsets).max() > 1e-5}
    alpha = strands.ribbon_alpha()
    colour = np.broadcast_to(bundle_albedo(bundle, identity), (*alpha.shape, 3))
    material = _card_material(bundle.name, bundle.kind, colour, alpha, card_alpha)
    return Mesh(bundle.name, positions, normals, triangles, material, strands.ribbon_uvs(len(chosen), RIBBON_POINTS),
                morphs=morphs)


@functools.cache
def _hair_images():
    """PNG bytes of the atlas of locks, whose white is `locks.LIGHTEST`, and JPEG bytes of occlusion and roughness."""
    alpha, light = locks.atlas()
    hidden = np.linspace(*HAIR_OCCLUSION, 64)[:, None, None]
    surface = np.concatenate([hidden, np.full_like(hidden, RIBBON_ROUGHNESS), np.zeros_like(hidden)], 2)
    return encode_cards(np.tile(light[..., None] / locks.LIGHTEST, 3), alpha), encode_image(np.tile(surface, (1, 8, 1)))


def _hair_meshes(bundle, figure, moved_bundles, triangle_share, card_alpha):
    """Head hair as strips. Blended hair is drawn twice, as games do: solid where it is dense, then its soft rims."""
    identity = figure.identity
    draw = generator(identity.number, "cards of " + bundle.name)
    centre_m = figure.head.mean(0) + HEAD_CENTRE_M
    strips = locks.hair_strips(bundle, identity, centre_m)
    count, points = strips.half_width_m.shape
    twist, variant = draw.normal(0, locks.TWIST, count), draw.integers(0, locks.VARIANTS, count)
    mirrored = draw.random(count) < 0.5
    share = triangle_share * HAIR_SHARE.get(identity.hair_style, 1.0)
    kept = strands.evenly(count, share)

    def make(strips):
        widths = strips.half_width_m[kept] / np.sqrt(share)
        some = replace(strips, paths=strips.paths[kept], away=strips.away[kept], normals=strips.normals[kept],
                       half_width_m=widths)
        return locks.strip_mesh(some, twist[kept])

    positions, normals, triangles = make(strips)
    morphs = {name: make(locks.hair_strips(moved, identity, centre_m))[0] - positions for name, moved in moved_bundles.items()}
    morphs = {name: offsets for name, offsets in morphs.items() if abs(offsets).max() > 1e-5}
    albedo = HAIR_LIGHT.get(identity.hair_style, 0.88) * strand_albedo(identity, bundle.kind, strips.shade, strips.grey)[kept]
    colours = locks.strip_colours((albedo * locks.LIGHTEST).clip(0, 1), points)
    picture, surface = _hair_images()
    blended = card_alpha == "blend"
    material = Material(bundle.name, roughness=1.0, specular=HAIR_SPECULAR, colour_image=picture, surface_image=surface,
                        alpha_mode="MASK", alpha_cutoff=BLENDED_CUTOFF if blended else CARD_CUTOFF)
    mesh = Mesh(bundle.name, positions, normals, triangles, material, locks.strip_uvs(variant[kept], points, mirrored[kept]),
                morphs=morphs, colours_linear=colours)
    if not blended:
        return [mesh]
    rims = replace(material, name=bundle.name + " rims", alpha_mode="BLEND")
    return [mesh, replace(mesh, name=rims.name, material=rims)]


def card_albedo(one, identity):
    """Linear colour [S, S, 3] of a card's texels: the same for both engines."""
    melanin, redness, roughness, _ = materials.strand_shades(identity)[one.kind]
    dark, light = (materials.hair_albedo_linear(amount, redness, roughness + 0.05) for amount in (melanin, 0.0))
    grey = identity.grey if one.kind == "hair" else 0.0
    return cards.colours(one, dark ** (1 - grey) * light ** grey)


def _card_mesh(one, identity, card_alpha):
    source, uvs, triangles = one.split()
    material = _card_material(one.name, one.kind, card_albedo(one, identity), one.alpha, card_alpha)
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
    meshes += _mouth_meshes(figure, moved)
    for index, bundle in enumerate(figure.strands):
        if is_painted(bundle, figure.identity) or bundle.name == "Brows" and figure.look.brow_style == "painted":
            continue
        bundles = {name: other.strands[index] for name, other in moved.items()}
        make = _hair_meshes if bundle.name == "Hair" else lambda *given: [_ribbon_mesh(*given)]
        meshes += make(bundle, figure, bundles, triangle_share, card_alpha)
    meshes += [_card_mesh(one, figure.identity, card_alpha) for one in figure.cards]
    return meshes + [_item_mesh(item) for item in figure.items]
