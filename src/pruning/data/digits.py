"""The digits that come with scikit-learn."""

from pathlib import Path

import numpy as np

from pruning.data.store import ImageData


def digits(name: str, root: Path) -> ImageData:
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels, 17 grey levels; nothing to download.

    The set has no published test split: a fixed, stratified quarter is held out (the last quarter
    of each class in file order, which keeps some writers out of training altogether).
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = source.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[members[-(len(members) // 4) :]] = True
    return ImageData(
        name=name,
        train_images=images[~test],
        train_labels=labels[~test],
        test_images=images[test],
        test_labels=labels[test],
        classes=tuple(str(d) for d in range(10)),
        source="sklearn.datasets.load_digits (UCI optdigits); last quarter of each class is test",
    )
