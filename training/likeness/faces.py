"""Finds a face and embeds it, with dlib's models."""

import importlib.util
from pathlib import Path

import dlib
import numpy as np

# The detector knows faces of 80 pixels and more; an image of twice the size, of 40; of four times, of 20. Larger images
# also have more that looks like a face, so they come last.
UPSAMPLINGS = (1, 2)
CHIP_PX = 150
CHIP_PADDING = 0.25


class Faces:
    """dlib's frontal detector (HOG), five-point landmarks and 128-d ResNet."""

    def __init__(self):
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(_model("shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(_model("dlib_face_recognition_resnet_model_v1.dat"))

    def find(self, pictures):
        """Landmarks of the surest face in the first of the pictures, `[H, W, 3]` 8-bit sRGB, that shows one, or None."""
        for upsampling in UPSAMPLINGS:
            for picture in pictures:
                boxes, scores, _ = self._detector.run(picture, upsampling)
                if boxes:
                    return self._predictor(picture, boxes[int(np.argmax(scores))])
        return None

    def embed(self, picture, landmarks):
        """128 numbers for the face at the landmarks."""
        chip = dlib.get_face_chip(picture, landmarks, CHIP_PX, CHIP_PADDING)
        return np.array(self._network.compute_face_descriptor(chip, 0))


def _model(name):
    """A file of `face_recognition_models`, which is not imported: its code needs the retired `pkg_resources`."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None:
        raise ModuleNotFoundError("face_recognition_models is not installed: see likeness/requirements.txt")
    return str(Path(package.submodule_search_locations[0]) / "models" / name)
