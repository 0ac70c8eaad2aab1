"""Data sets that are the same everywhere: what a study is checked on before they are prepared.

No torch and no numpy at the top: Snakemake asks each time it starts.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data.sources import header_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from pruning.data.picture_index import PictureIndex
    from pruning.data.store import ImageData
    from pruning.data.text_store import TextData

MOST_BYTES = 2**28  # of pixels or tokens that stand in for a data set
FILES = 13  # that stand in for one of files


@dataclass(frozen=True)
class Facts:
    """How large a data set of images is.

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

    @property
    def takes(self) -> tuple[int, int, int]:
        """What networks take: see :func:`pruning.models.build.build`."""
        return self.shape

    @property
    def makes(self) -> int:
        """How many outputs networks have."""
        return self.classes

    def example(self) -> "tuple[Tensor, ...]":
        """What a network takes of an example; costs are counted on it."""
        from pruning.data.examples import one_image

        return one_image(self.shape)

    def certain(self) -> dict[str, Any]:
        """What is known as exactly before a data set is prepared as when it is."""
        return {**asdict(self), "fewest": None}

    def following(self, options: Mapping[str, Any]) -> "Facts | None":
        """The same of a data set with options; None where only its files tell."""
        size = options.get("size")
        return self if size is None else replace(self, shape=(self.shape[0], size, size))

    def fits(self) -> bool:
        """Whether what stands in for it is not gigabytes."""
        return (self.train + self.test) * math.prod(self.shape) <= MOST_BYTES

    def stand_in(self, name: str) -> "ImageData":
        """A data set of that size, whose images are noise."""
        return _tensors(self, name)


@dataclass(frozen=True)
class TextFacts:
    """How large a data set of text is.

    Attributes:
        train, validation, test: how many pairs of sentences.
        source_vocabulary, target_vocabulary: how many pieces.
        source_tokens, target_tokens: of a training pair, on average.
        by_default: of the options that decide all that, the values that it is said for.
    """

    train: int
    validation: int
    test: int
    source_vocabulary: int
    target_vocabulary: int
    source_tokens: float
    target_tokens: float
    by_default: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def takes(self) -> int:
        """What networks take: see :func:`pruning.models.build.build`."""
        return self.source_vocabulary

    @property
    def makes(self) -> int:
        """How many outputs networks have."""
        return self.target_vocabulary

    def example(self) -> "tuple[Tensor, ...]":
        """A pair of average lengths."""
        from pruning.data.examples import one_pair

        return one_pair(self.source_tokens, self.target_tokens)

    def certain(self) -> dict[str, Any]:
        """As of :class:`Facts`."""
        return {key: getattr(self, key) for key in ("train", "validation", "test", *VOCABULARIES)}

    def following(self, options: Mapping[str, Any]) -> "TextFacts | None":
        """As of :class:`Facts`."""
        given = {key: value for key, value in options.items() if key != "kind"}
        same = all(self.by_default.get(key) == value for key, value in given.items())
        return self if same else None

    def fits(self) -> bool:
        """As of :class:`Facts`; sentences that stand in for others are short."""
        return 2 * (MOST_TOKENS + 1) * 4 * (self.train + self.validation + self.test) <= MOST_BYTES

    def stand_in(self, name: str) -> "TextData":
        """A data set of that size, of short sentences that mean nothing."""
        return _sentences(self, name)


VOCABULARIES = ("source_vocabulary", "target_vocabulary")
MOST_TOKENS = 6  # of sentences that stand in for others
BPE_MULTI30K = {"source": "de", "target": "en", "vocabulary": 4000, "most_tokens": 48}
KNOWN: dict[str, Facts | TextFacts] = {
    "digits": Facts(1352, 445, (1, 8, 8), 10, 131),
    "mnist": Facts(60_000, 10_000, (1, 28, 28), 10, 5421),
    "fashion_mnist": Facts(60_000, 10_000, (1, 28, 28), 10, 6000),
    "cifar10": Facts(50_000, 10_000, (3, 32, 32), 10, 5000),
    "cifar100": Facts(50_000, 10_000, (3, 32, 32), 100, 500),
    "tiny_imagenet": Facts(100_000, 10_000, (3, 64, 64), 200, 500),
    "imagenet": Facts(1_281_167, 50_000, (3, 224, 224), 1000, 732),
    "multi30k": TextFacts(28_964, 1014, 1000, 4000, 4000, 16.469, 15.503, BPE_MULTI30K),
    # As the reference has them (section 2.1); the tokens are assumed there.
    "wmt16_en_de": TextFacts(3_534_981, 3003, 2169, 32_316, 32_316, 27, 27, {"most_tokens": 48}),
}

# Kinds whose images are read while training, and how many processes read them for one training
# where a study does not say.
READ_WHILE_TRAINING = {"imagenet": 2, "image_files": 2}


def known_facts(options: Mapping[str, Any]) -> Facts | TextFacts | None:
    """What is known of a data set that need not be prepared, from its options, ``kind`` included.

    Returns:
        None where only its files tell.
    """
    facts = KNOWN.get(options["kind"])
    return None if facts is None or "path" in options else facts.following(options)


def prepared_facts(path: Path | str) -> Facts | TextFacts | None:
    """The same of a prepared data set, from its header.

    Returns:
        None where there is no such file, or none that could be read.
    """
    try:
        header, told = header_of(path)
        sizes = {name: array["shape"] for name, array in header.items() if "shape" in array}
        return _of_text(sizes, told) if "vocabulary" in told else _of_images(sizes, told)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_images(sizes: Mapping[str, list[int]], told: Mapping[str, Any]) -> Facts:
    train, test = (sizes[f"{split}_labels"][0] for split in ("train", "test"))
    height, width, channels = told.get("image") or sizes["train_images"][1:]
    return Facts(train, test, (channels, height, width), len(told["classes"]))


def _of_text(sizes: Mapping[str, list[int]], told: Mapping[str, Any]) -> TextFacts:
    train, *others = (sizes[f"{s}_source_lengths"][0] for s in ("train", "validation", "test"))
    tokens = (sizes[f"train_{side}_tokens"][0] / train for side in ("source", "target"))
    return TextFacts(train, *others, *told["vocabulary"], *tokens)


def stand_in(facts: Facts | TextFacts, path: Path, kind: str, name: str = "stand-in") -> bool:
    """Write a prepared data set of that size, of noise.

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
    if not facts.fits():
        return False
    save(facts.stand_in(name), path)
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


def _sentences(facts: TextFacts, name: str) -> "TextData":
    import numpy as np

    from pruning.data.pieces import SPECIAL
    from pruning.data.text_store import TextData, TextSide, TextSplit

    draws = np.random.default_rng(0)

    def side(count: int, pieces: int) -> TextSide:
        lengths = draws.integers(1, MOST_TOKENS + 1, count, dtype=np.int32)
        return TextSide(
            draws.integers(len(SPECIAL), pieces, lengths.sum(), dtype=np.int32), lengths
        )

    def split(count: int, references: int) -> TextSplit:
        sides = (side(count, pieces) for pieces in (facts.takes, facts.makes))
        return TextSplit(*sides, references=("words",) * references)

    def pieces(count: int) -> tuple[str, ...]:
        return *SPECIAL, *(f"\u2581{number}" for number in range(len(SPECIAL), count))

    return TextData(
        name=name,
        languages=("noise", "other noise"),
        source_pieces=pieces(facts.takes),
        target_pieces=pieces(facts.makes),
        train=split(facts.train, 0),
        validation=split(facts.validation, facts.validation),
        test=split(facts.test, facts.test),
        joining="sentencepiece",
        source="noise",
    )
