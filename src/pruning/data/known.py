"""Data sets that are the same everywhere: what a study is checked on before they are prepared.

No torch and no numpy at the top: Snakemake asks each time it starts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.sources import header_of

if TYPE_CHECKING:
    import numpy as np

    from pruning.data.picture_index import PictureIndex
    from pruning.data.store import ImageData

MOST_BYTES = 2**28  # of pixels that stand in for a data set
FILES = 13  # that stand in for one of files


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
    "imagenet": Facts(1_281_167, 50_000, (3, 224, 224), 1000, 732),
}

# Kinds whose images are read while training, and how many processes read them for one training
# where a study does not say.
READ_WHILE_TRAINING = {"imagenet": 2, "image_files": 2}


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
        train, test = (header[f"{s}_labels"]["shape"][0] for s in ("train", "test"))
        image = told.get("image") or header["train_images"]["shape"][1:]
        height, width, channels = image
        return Facts(train, test, (channels, height, width), len(told["classes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stand_in(facts: Facts, path: Path, kind: str, name: str = "stand-in") -> bool:
    """Write a prepared data set of that size, whose images are noise.

    Args:
        facts: how large it is.
        path: the file.
        kind: of the data set that it stands for. Where images are read while training, it lists a
            few files, which are written beside it, again and again.
        name: of the data set that it stands for, which messages call it by.

    Returns:
        Whether it was written: not one of gigabytes.
    """
    from pruning.data.store import save

    if kind in READ_WHILE_TRAINING:
        save(_files(facts, path, name), path)
        return True
    channels, height, width = facts.shape
    if (facts.train + facts.test) * channels * height * width > MOST_BYTES:
        return False
    save(_tensors(facts, name), path)
    return True


def _tensors(facts: Facts, name: str) -> "ImageData":
    import numpy as np

    from pruning.data.store import ImageData

    channels, height, width = facts.shape
    tile = _noise(257, (height, width, channels))
    train, test = _labels(facts)
    return ImageData(
        name=name,
        train_images=np.resize(tile, (facts.train, height, width, channels)),
        train_labels=train,
        test_images=np.resize(tile, (facts.test, height, width, channels)),
        test_labels=test,
        classes=tuple(map(str, range(facts.classes))),
        source="noise",
    )


def _files(facts: Facts, path: Path, name: str) -> "PictureIndex":
    import numpy as np
    from PIL import Image

    from pruning.data.cut import Cut
    from pruning.data.notes import note_file
    from pruning.data.picture_index import Listing, PictureIndex, checksum
    from pruning.files import write_json

    names = [f"{number:02}.png" for number in range(FILES)]
    contents = []
    for file, pixels in zip(names, _noise(FILES, (32, 32, 3)), strict=True):
        Image.fromarray(pixels).save(path.with_name(file))
        contents.append(path.with_name(file).read_bytes())
    write_json(note_file(path), {"location": str(path.parent)})
    few = Listing.of([(n, len(c), checksum(c), 0) for n, c in zip(names, contents, strict=True)])

    def again_and_again(labels: np.ndarray) -> Listing:
        count, letters = len(labels), len(names[0])
        return Listing(
            np.resize(few.paths, count * letters),
            letters * np.arange(1, count + 1),
            np.resize(few.bytes, count),
            np.resize(few.checksums, count),
            labels,
        )

    train, test = map(again_and_again, _labels(facts))
    channels, size, _ = facts.shape
    return PictureIndex(
        name=name,
        train=train,
        test=test,
        cut=Cut(size, size, grey=channels == 1),
        classes=tuple(map(str, range(facts.classes))),
        source="noise",
    )


def _noise(count: int, shape: tuple[int, int, int]) -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def _labels(facts: Facts) -> tuple["np.ndarray", "np.ndarray"]:
    """Of training and test images. The first class has as few as the smallest, the others share
    the rest."""
    import numpy as np

    train = np.zeros(facts.train, np.int64)
    train[facts.fewest :] = np.arange(facts.train - (facts.fewest or 0)) % (facts.classes - 1) + 1
    return train, np.arange(facts.test) % facts.classes
