"""How a face is cut out. Pictures and photographs all go through this, so that faces are compared and nothing around them.

Lengths are in multiples of the distance between the eyes, which is 61 mm in the mean: the oval reaches from above the
brows to the chin, and leaves hair, ears, neck and background out. Positions are `[x, y]` in pixels from the corner of a
picture.
"""

import numpy as np
from PIL import Image

CROP_PX = 224
# Distance between the eyes in a crop, and their height.
EYES_PX = 88.0
EYES_Y_PX = 64.0
# Half axes of the oval, and its centre below the eyes.
OVAL_X, OVAL_Y, OVAL_BELOW = 0.9, 1.2, 0.55
# What is outside of the oval.
GREY = 128
# How far the base of the nose may be off the middle between the eyes: a head that is turned by about 25°.
MAX_OFF_MIDDLE = 0.15


def eyes_of(landmarks):
    """Centres of both eyes `[2, 2]`, left in the picture first, and how far off their middle the base of the nose is."""
    # dlib's five: both corners of one eye, both of the other, base of the nose. It counts from the middle of a pixel.
    points = np.array([[point.x, point.y] for point in landmarks.parts()]) + 0.5
    eyes = points[:4].reshape(2, 2, 2).mean(1)
    eyes = eyes[np.argsort(eyes[:, 0])]
    axis = eyes[1] - eyes[0]
    off_middle = abs((points[4] - eyes.mean(0)) @ axis) / (axis @ axis)
    return eyes, off_middle


def faces_ahead(picture, eyes, off_middle):
    """True for a whole face that is seen from the front: not turned aside, not cut off by the picture's edge."""
    centre = eyes.mean(0) + OVAL_BELOW * _down(eyes)
    ends = [centre + end for axis in (OVAL_X * (eyes[1] - eyes[0]), OVAL_Y * _down(eyes)) for end in (axis, -axis)]
    inside = (np.array(ends) >= 0) & (np.array(ends) <= picture.shape[1::-1])
    return off_middle <= MAX_OFF_MIDDLE and bool(inside.all())


def distance(eyes):
    """Distance between the eyes."""
    return float(np.linalg.norm(eyes[1] - eyes[0]))


def shrink(picture, eyes, eyes_px):
    """Brings a picture down to a distance between the eyes by averaging areas, never up."""
    factor = eyes_px / distance(eyes)
    if factor >= 1:
        return picture, eyes
    height, width = picture.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = Image.fromarray(picture).resize(size, Image.Resampling.BOX)
    return np.asarray(small), eyes * (size[0] / width, size[1] / height)


def crop(picture, eyes):
    """`[224, 224, 3]`: the face with its eyes level and at their place, grey outside of the oval."""
    picture, (left, right) = shrink(picture, eyes, EYES_PX)
    # From the crop to the picture: turned and scaled by a complex number, c + si.
    c, s = (right - left) / EYES_PX
    x, y = (CROP_PX - EYES_PX) / 2, EYES_Y_PX
    affine = (c, -s, left[0] - c * x + s * y, s, c, left[1] - s * x - c * y)
    size, grey = (CROP_PX, CROP_PX), (GREY, GREY, GREY)
    face = Image.fromarray(picture).transform(
        size, Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC, fillcolor=grey)
    mixed = GREY + _OVAL * (np.asarray(face, np.float32) - GREY)
    return np.rint(mixed).astype(np.uint8)


def _down(eyes):
    """Direction from the eyes to the chin, as long as the eyes are apart."""
    x, y = eyes[1] - eyes[0]
    return np.array([-y, x])


def _oval():
    """Cover of the oval `[224, 224, 1]`, with an edge that is two pixels wide."""
    y, x = np.mgrid[:CROP_PX, :CROP_PX] + 0.5
    across = (x - CROP_PX / 2) / (OVAL_X * EYES_PX)
    down = (y - EYES_Y_PX - OVAL_BELOW * EYES_PX) / (OVAL_Y * EYES_PX)
    inside_px = (1 - np.hypot(across, down)) * EYES_PX
    return np.clip(inside_px / 2 + 0.5, 0, 1)[..., None].astype(np.float32)


_OVAL = _oval()
