"""The features that training's perceptual loss compares: MobileNetV2's, as a file that `portrait-train` reads.

They come as a file of PyTorch's, a pickle. Whoever unpickles a file runs whatever it says, so here nothing but tensors is let
through, and PyTorch itself is not needed.
"""
