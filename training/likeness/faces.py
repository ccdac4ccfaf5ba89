"""Finds a face and embeds it, with dlib's models."""

import dlib
import numpy as np

from .installed import installed

# The detector knows faces of 80 pixels and more; an image of twice the size, of 40; of four times, of 20. Larger images
# also have more that looks like a face, so they come last.
UPSAMPLINGS = (1, 2)
CHIP_PX = 150
CHIP_PADDING = 0.25


class Finder:
    """dlib's frontal detector (HOG) and five-point landmarks."""

    def __init__(self):
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(_model("shape_predictor_5_face_landmarks.dat"))

    def find(self, pictures, upsamplings=UPSAMPLINGS):
        """Landmarks of the surest face in the first of the pictures, `[H, W, 3]` 8-bit sRGB, that shows one, or None."""
        for upsampling in upsamplings:
            for picture in pictures:
                boxes, scores, _ = self._detector.run(picture, upsampling)
                if boxes:
                    return self._predictor(picture, boxes[int(np.argmax(scores))])
        return None


class Faces(Finder):
    """Finds faces, and embeds them with dlib's 128-d ResNet."""

    def __init__(self):
        super().__init__()
        self._network = dlib.face_recognition_model_v1(_model("dlib_face_recognition_resnet_model_v1.dat"))

    def embed(self, picture, landmarks):
        """128 numbers for the face at the landmarks."""
        chip = dlib.get_face_chip(picture, landmarks, CHIP_PX, CHIP_PADDING)
        return np.array(self._network.compute_face_descriptor(chip, 0))


def _model(name):
    """A file of `face_recognition_models`, whose code needs the retired `pkg_resources`."""
    return installed("face_recognition_models", "models", name)
