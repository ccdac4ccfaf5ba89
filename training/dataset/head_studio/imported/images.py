"""A document's images: decoded to linear colour, padded around their islands, encoded again."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from ..storage import UsageError


def decode(document, index):
    """8-bit [H, W, 3 or 4] of an image of the document."""
    content = document.image(index)
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"))
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise UsageError(f"{document.path}: image {index} cannot be decoded: {error}; expected PNG or JPEG inside the file; "
                         f"`npx @gltf-transform/cli png {document.path} decoded.glb --formats '*'` makes them") from error


def linear(srgb):
    """Linear 0..1 of sRGB-encoded 0..1."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def oklab(colour_linear):
    """Lightness and two opponent axes [..., 3] of linear Rec.709 (Ottosson 2020, "A perceptual color space")."""
    cones = np.cbrt(np.maximum(colour_linear, 0) @ np.array(
        [[0.4122214708, 0.2119034982, 0.0883024619], [0.5363325363, 0.6806995451, 0.2817188376],
         [0.0514459929, 0.1073969566, 0.6299787005]]))
    return cones @ np.array([[0.2104542553, 1.9779984951, 0.0259040371], [0.7936177850, -2.4285922050, 0.7827717662],
                             [-0.0040720468, 0.4505937099, -0.8086757660]])


def nearest_covered(covered):
    """Row and column [2, H, W] of the nearest covered texel."""
    return ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)


def padded(image, covered):
    """The image with every texel that no triangle covers taken from the nearest one that is: mip levels of an atlas mix
    neighbours, and what lies between islands is often black."""
    if covered.all() or not covered.any():
        return image
    rows, columns = nearest_covered(covered)
    return image[rows, columns]


def encode(image, quality=95):
    """PNG bytes of an image with alpha, JPEG bytes of one without."""
    stream = io.BytesIO()
    if image.shape[2] == 4:
        Image.fromarray(image).save(stream, "PNG", compress_level=4)
    else:
        Image.fromarray(image).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()
