"""Image files to arrays, for the data sets that are trees of them."""

import io
from collections.abc import Sequence

import numpy as np

from pruning.data.resize import resize
from pruning.errors import PruningError

EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".webp", ".gif", ".tif", ".tiff"}


def decode(name: str, where: str, content: bytes, size: int | None, grey: bool) -> np.ndarray:
    """One image, uint8 (H, W, C).

    Args:
        name: of the data set, for messages.
        where: of the image, for messages.
        content: the file's bytes.
        size: resize to size x size pixels.
        grey: one channel instead of three.

    Raises:
        PruningError: no readable image; names it.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as picture:
            array = np.asarray(picture.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise PruningError(
            f"Data set {name!r}: {where} is not a readable image ({error}). Mend or remove it."
        ) from None
    array = array if array.ndim == 3 else array[..., None]
    return array if size is None else resize(array, size)


def stack(name: str, pictures: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Images of one size as one array (N, H, W, C).

    Args:
        name: of the data set, for messages.
        pictures: where each image is, and the image.

    Raises:
        PruningError: an image of another size than the first; names it.
    """
    first = pictures[0][1].shape
    for where, image in pictures:
        if image.shape != first:
            raise PruningError(
                f"Data set {name!r}: {where} is {image.shape[1]}x{image.shape[0]}, others are "
                f"{first[1]}x{first[0]}. Give the data set a `size` to resize all to."
            )
    return np.stack([image for _, image in pictures])
