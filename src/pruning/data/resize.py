"""Resizing images when a data set is prepared."""

import numpy as np

from pruning.errors import PruningError


def check_size(name: str, size: object) -> None:
    """Refuse a ``size`` option that is no number of pixels.

    Raises:
        PruningError: names the data set and the value.
    """
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise PruningError(
            f"Data set {name!r}: `size` is a whole number of pixels, it is {size!r}."
        )


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """One uint8 image (H, W, C), C 1 or 3, as (size, size, C), by PIL's bicubic filter."""
    from PIL import Image

    grey = image.shape[2] == 1
    picture = Image.fromarray(image[..., 0] if grey else image)
    array = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    return array[..., None] if grey else array
