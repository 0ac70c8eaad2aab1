"""Data sets that are the same everywhere: what a study is checked on before they are prepared.

No torch and no numpy at the top: Snakemake asks each time it starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pruning.data.sources import header_of

MOST_BYTES = 2**28  # of pixels that stand in for a data set


@dataclass(frozen=True)
class Facts:
    """How large a data set is.

    Attributes:
        train, test: how many images.
        shape: (C, H, W) of one.
        classes: how many.
        fewest: training images of the class that has the fewest; None where that is not known.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    fewest: int | None = None


KNOWN = {
    "digits": Facts(1352, 445, (1, 8, 8), 10, 131),
    "mnist": Facts(60_000, 10_000, (1, 28, 28), 10, 5421),
    "fashion_mnist": Facts(60_000, 10_000, (1, 28, 28), 10, 6000),
    "cifar10": Facts(50_000, 10_000, (3, 32, 32), 10, 5000),
    "cifar100": Facts(50_000, 10_000, (3, 32, 32), 100, 500),
    "tiny_imagenet": Facts(100_000, 10_000, (3, 64, 64), 200, 500),
}


def known_facts(options: Mapping[str, Any]) -> Facts | None:
    """What is known of a data set that need not be prepared, from its options, ``kind`` included.

    Returns:
        None where only its files tell.
    """
    facts = KNOWN.get(options["kind"])
    if facts is None or "path" in options:
        return None
    size = options.get("size")
    return facts if size is None else replace(facts, shape=(facts.shape[0], size, size))


def prepared_facts(path: Path | str) -> Facts | None:
    """The same of a prepared data set, from its header.

    Returns:
        None where there is no such file, or none that could be read.
    """
    try:
        header, told = header_of(path)
        (train, *image), test = (header[f"{s}_images"]["shape"] for s in ("train", "test"))
        height, width, channels = image
        return Facts(train, test[0], (channels, height, width), len(told["classes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stand_in(facts: Facts, path: Path) -> bool:
    """Write a prepared data set of that size, whose images are noise.

    Returns:
        Whether it was written: not one of gigabytes.
    """
    import numpy as np

    from pruning.data.store import ImageData, save

    channels, height, width = facts.shape
    if (facts.train + facts.test) * channels * height * width > MOST_BYTES:
        return False
    source = np.random.default_rng(0)
    tile = source.integers(0, 256, (257, height, width, channels), dtype=np.uint8)
    # The first class has as few images as the smallest, the others share the rest.
    train = np.zeros(facts.train, np.int64)
    train[facts.fewest :] = np.arange(facts.train - (facts.fewest or 0)) % (facts.classes - 1) + 1
    data = ImageData(
        name="stand-in",
        train_images=np.resize(tile, (facts.train, height, width, channels)),
        train_labels=train,
        test_images=np.resize(tile, (facts.test, height, width, channels)),
        test_labels=np.arange(facts.test) % facts.classes,
        classes=tuple(map(str, range(facts.classes))),
        source="noise",
    )
    save(data, path)
    return True
