"""Prepared text on disk: pieces of sentences in two languages, in one safetensors file.

Written by :func:`pruning.data.store.save`, as images are. All sentences of a side lie one after
the other in one array, and another says how long they are.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from pruning import seals
from pruning.data.joining import JOININGS
from pruning.data.pieces import BEGIN, END, SPECIAL
from pruning.data.store import TEXT, checked, opened, read_arrays
from pruning.errors import PruningError, look_up
from pruning.files import reading

SIDES = ("source", "target")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TextSide:
    """Sentences of one language.

    Attributes:
        tokens: ids of their pieces, int32 (total,), without beginnings and ends.
        lengths: int32 (N,).
    """

    tokens: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, sentences: Iterable[Sequence[int]]) -> "TextSide":
        """From the ids of each sentence, which are gone through once."""
        tokens, lengths = array("i"), array("i")
        for sentence in sentences:
            tokens.extend(sentence)
            lengths.append(len(sentence))
        return cls(np.array(tokens, np.int32), np.array(lengths, np.int32))

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True)
class TextSplit:
    """Sentences and their translations.

    Attributes:
        source, target: as many of each.
        references: the translations as plain text; of training none.
    """

    source: TextSide
    target: TextSide
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class TextData:
    """Text in two languages; the counterpart of :class:`pruning.data.store.ImageData`.

    Attributes:
        name: what to call it in figures and errors.
        languages: that are translated from, and to.
        source_pieces, target_pieces: by id; they begin with :data:`pruning.data.pieces.SPECIAL`.
        train, validation, test: the sentences.
        joining: how pieces become text, one of :data:`pruning.data.joining.JOININGS`.
        source: where it came from, for the record.
        source_sha256, skipped, converted: as of ImageData; of pairs, and of tokens.
    """

    name: str
    languages: tuple[str, str]
    source_pieces: tuple[str, ...]
    target_pieces: tuple[str, ...]
    train: TextSplit
    validation: TextSplit
    test: TextSplit
    joining: str
    source: str
    source_sha256: str | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    converted: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse text that no training could use.

        Raises:
            PruningError: an empty split or sentence, sides that do not go together, a token that
                is no piece or ends a sentence within it, references that are not one for each
                sentence, pieces that are there twice or do not begin as they should.
        """
        look_up("way to join pieces of text", self.joining, JOININGS)
        for side in SIDES:
            self._check_pieces(side, getattr(self, f"{side}_pieces"))
        for name in SPLITS:
            self._check_split(name, getattr(self, name))

    def header(self) -> dict[str, Any]:
        """What is written of it besides the arrays."""
        return {
            "format": TEXT,
            "name": self.name,
            "languages": self.languages,
            "vocabulary": [len(self.source_pieces), len(self.target_pieces)],
            "joining": self.joining,
            "source": self.source,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of it, by name."""
        found = {f"{side}_pieces": _bytes(getattr(self, f"{side}_pieces")) for side in SIDES}
        for name in SPLITS:
            split = getattr(self, name)
            for side in SIDES:
                found[f"{name}_{side}_tokens"] = getattr(split, side).tokens
                found[f"{name}_{side}_lengths"] = getattr(split, side).lengths
            if name != "train":
                found[f"{name}_references"] = _bytes(split.references)
        return found

    def _check_pieces(self, side: str, pieces: tuple[str, ...]) -> None:
        if pieces[: len(SPECIAL)] != SPECIAL or len(set(pieces)) < len(pieces):
            raise self._wrong(
                f"the {side} vocabulary must begin with {', '.join(SPECIAL)} and have each piece "
                "once"
            )
        if any("\n" in piece for piece in pieces):
            raise self._wrong(f"a piece of the {side} vocabulary has a line's end in it")

    def _check_split(self, name: str, split: TextSplit) -> None:
        counts = len(split.source), len(split.target)
        if 0 in counts or len(set(counts)) > 1:
            raise self._wrong(
                f"the {name} split has {counts[0]} source and {counts[1]} target sentences; it "
                "needs some, and as many of both"
            )
        if len(split.references) != (0 if name == "train" else counts[0]):
            raise self._wrong(
                f"the {name} split has {len(split.references)} references for {counts[0]} "
                "sentences; it needs one for each, and of training none"
            )
        if any("\n" in reference for reference in split.references):
            raise self._wrong(f"a reference of the {name} split has a line's end in it")
        for side in SIDES:
            self._check_side(f"{name} {side}", getattr(split, side), f"{side}_pieces")

    def _check_side(self, where: str, side: TextSide, pieces: str) -> None:
        tokens, lengths = side.tokens, side.lengths
        if (tokens.dtype, lengths.dtype) != (np.int32, np.int32) or tokens.ndim != 1:
            raise self._wrong(f"{where}: tokens and lengths must be int32 of one dimension")
        if lengths.min() < 1 or lengths.sum(dtype=np.int64) != len(tokens):
            raise self._wrong(f"{where}: lengths must be at least 1 and add up to the tokens")
        if tokens.min() < 0 or tokens.max() >= len(getattr(self, pieces)):
            raise self._wrong(f"{where}: a token is no piece of the vocabulary")
        if ((tokens == BEGIN) | (tokens == END)).any():
            raise self._wrong(f"{where}: a sentence has a beginning or an end within it")

    def _wrong(self, what: str) -> PruningError:
        return PruningError(f"Data set {self.name!r}: {what}.")


def read_text_header(
    path: Path | str,
) -> tuple[dict[str, Any], dict[str, int], tuple[float, float]]:
    """What prepared text says of itself, how many pairs each split has, and how many source and
    target tokens a training pair has in the mean.

    Raises:
        PruningError: the file is missing, damaged, of another place, or no prepared text.
    """
    header, sizes = opened(path, TEXT)
    languages, vocabulary = header.get("languages"), header.get("vocabulary")
    right = (
        _is_two(languages, str)
        and _is_two(vocabulary, int)
        and isinstance(header.get("joining"), str)
        and _names() == sizes.keys()
    )
    if not right:
        raise seals.changed(path)
    counts = {name: sizes[f"{name}_source_lengths"][0] for name in SPLITS}
    source, target = (sizes[f"train_{side}_tokens"][0] / counts["train"] for side in SIDES)
    return header, counts, (source, target)


def read_pieces(path: Path | str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The source's and the target's pieces, which are few.

    Whether they are as they were written is seen when the sentences are read.
    """
    try:
        with reading(path), safe_open(path, framework="numpy") as file:
            source, target = (_texts(file.get_tensor(f"{side}_pieces")) for side in SIDES)
        return source, target
    except (SafetensorError, UnicodeDecodeError):
        raise seals.changed(path) from None


def read_text(path: Path | str, header: Mapping[str, Any]) -> TextData:
    """All of prepared text.

    Args:
        path: the file.
        header: of :func:`read_text_header`.

    Raises:
        PruningError: it is not as it was written.
    """
    found = read_arrays(path, header)
    try:
        data = TextData(
            name=header["name"],
            languages=tuple(header["languages"]),
            **{f"{side}_pieces": _texts(found[f"{side}_pieces"]) for side in SIDES},
            **{name: _split(name, found) for name in SPLITS},
            joining=header["joining"],
            source=header["source"],
        )
    except (KeyError, UnicodeDecodeError):
        raise seals.changed(path) from None
    checked(data, path)
    if [len(data.source_pieces), len(data.target_pieces)] != header["vocabulary"]:
        raise seals.changed(path)
    return data


def _split(name: str, found: Mapping[str, np.ndarray]) -> TextSplit:
    sides = {
        side: TextSide(found[f"{name}_{side}_tokens"], found[f"{name}_{side}_lengths"])
        for side in SIDES
    }
    return TextSplit(**sides, references=_texts(found.get(f"{name}_references", _bytes(()))))


def _names() -> set[str]:
    """Of the arrays."""
    sides = {f"{n}_{s}_{what}" for n in SPLITS for s in SIDES for what in ("tokens", "lengths")}
    return sides | {f"{s}_pieces" for s in SIDES} | {f"{n}_references" for n in SPLITS[1:]}


def _is_two(values: Any, kind: type) -> bool:
    return (
        isinstance(values, list) and len(values) == 2 and all(isinstance(v, kind) for v in values)
    )


def _bytes(texts: Iterable[str]) -> np.ndarray:
    """Texts as UTF-8, a line each: uint8."""
    return np.frombuffer("".join(f"{text}\n" for text in texts).encode(), np.uint8)


def _texts(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.tobytes().decode().split("\n")[:-1])
