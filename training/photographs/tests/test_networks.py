"""The real networks, and the convolution that one of them is made of."""

import unittest
from pathlib import Path

import numpy as np
from PIL import Image

from photographs.networks import Dino, EfficientNet, convolve

SIDE_BY_SIDE = Path(__file__).resolve().parents[3] / "assets" / "readme" / "side_by_side.png"


def pictures():
    """First, second and reference image of the README, 224²."""
    with Image.open(SIDE_BY_SIDE) as sheet:
        side = sheet.height
        columns = [sheet.crop((at * side, 0, (at + 1) * side, side)).resize((224, 224)) for at in range(3)]
    return [np.asarray(column.convert("RGB")) for column in columns]


def distance(a, b):
    return float(np.linalg.norm(a - b))


class Networks(unittest.TestCase):
    def test_a_convolution_is_padded_as_its_sum_over_neighbours_says(self):
        random = np.random.default_rng(0)
        shapes = ((7, 3, 1, False), (8, 3, 2, True), (7, 3, 2, False), (8, 5, 2, True), (5, 1, 1, False))
        for side, kernel, stride, depthwise in shapes:
            x = random.normal(size=(side, side, 4)).astype(np.float32)
            weight = random.normal(size=(4, 1 if depthwise else 4, kernel, kernel)).astype(np.float32)
            out = -(-side // stride)
            before = ((out - 1) * stride + kernel - side) // 2
            expected = np.zeros((out, out, 4))
            for y, x_, o, i, dy, dx in np.ndindex(out, out, 4, weight.shape[1], kernel, kernel):
                row, column = y * stride + dy - before, x_ * stride + dx - before
                if 0 <= row < side and 0 <= column < side:
                    expected[y, x_, o] += x[row, column, o if depthwise else i] * weight[o, i, dy, dx]
            np.testing.assert_allclose(convolve(x, weight, stride), expected, rtol=1e-4, atol=1e-4)

    def test_activations_of_efficientnet_are_what_its_normalisation_saw_in_training(self):
        network = EfficientNet()
        seen = {}
        layer = network._layer

        def watch(x, conv, norm, stride=1):
            seen[norm] = convolve(x, network._weights[f"{conv}.weight"], stride).mean((0, 1))
            return layer(x, conv, norm, stride)

        network._layer = watch
        self.assertEqual(network.features(pictures()[2]).shape, (1280,))
        self.assertEqual(len(seen), 2 + 3 * EfficientNet.BLOCKS - 1, "the first block does not widen")
        related = [np.corrcoef(mean, network._weights[f"{norm}.running_mean"])[0, 1] for norm, mean in seen.items()]
        # 0.94; 0.87 with one halving a block too late.
        self.assertGreater(np.median(related), 0.9, related)

    def test_both_networks_see_an_enhanced_face_as_the_same_picture_and_noise_as_another(self):
        first, second, _ = pictures()
        noise = np.random.default_rng(0).integers(0, 256, first.shape, np.uint8)
        for network, length in ((Dino(), 384), (EfficientNet(), 1280)):
            a, b, c = (network.features(picture) for picture in (first, second, noise))
            self.assertEqual(a.shape, (length,))
            np.testing.assert_allclose(network.features(first), a, rtol=1e-3, atol=1e-3)
            self.assertTrue(0 < 2 * distance(a, b) < distance(a, c), (distance(a, b), distance(a, c)))


if __name__ == "__main__":
    unittest.main()
