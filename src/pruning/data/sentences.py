"""The sentences of a translation task: whole on the device, read when they are first looked at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from pruning.data.joining import join
from pruning.data.pieces import END
from pruning.data.store import OPTIONAL
from pruning.data.text_store import (
    SPLITS,
    TextSide,
    TextSplit,
    read_pieces,
    read_text,
    read_text_header,
)
from pruning.errors import PruningError


@dataclass(frozen=True)
class Sentences:
    """Sentences of one language, one after the other.

    Attributes:
        tokens: ids of their pieces, int32 (total,), on the device, without beginnings and ends.
        lengths: int64 (N,), on the CPU.
    """

    tokens: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def starts(self) -> Tensor:
        """Where each begins, int64 (N,), on the CPU."""
        return self.lengths.cumsum(0) - self.lengths

    def to(self, device: torch.device | str) -> "Sentences":
        """The same on a device."""
        return Sentences(self.tokens.to(device), self.lengths)

    def part(self, rows: Tensor) -> "Sentences":
        """Some of them, by int64 (B,) on the CPU."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        within = torch.arange(int(lengths.sum())) - (lengths.cumsum(0) - lengths).repeat_interleave(
            lengths
        )
        places = starts.repeat_interleave(lengths) + within
        return Sentences(self.tokens[places.to(self.tokens.device)], lengths)

    def padded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Some of them, side by side.

        Args:
            rows: int64 (B,), on the CPU.

        Returns:
            Ids (B, L) int64 on the device, padded with END to the longest; lengths (B,) on the CPU.
        """
        lengths, device = self.lengths[rows], self.tokens.device
        longest = int(lengths.max()) if len(rows) else 0
        # One copy to the device, which waits for nothing; the rest is a gather there.
        starts, stops = torch.stack([self.starts[rows], lengths]).to(device, non_blocking=True)
        steps = torch.arange(longest, device=device)
        beyond = steps >= stops[:, None]
        places = (starts[:, None] + steps).masked_fill_(beyond, 0)
        tokens = self.tokens[places].to(torch.int64)
        return tokens.masked_fill_(beyond, END), lengths


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations, line by line.

    Attributes:
        source, target: as many of each.
        references: the translations as plain text; () of training.
    """

    source: Sentences
    target: Sentences
    references: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)

    def to(self, device: torch.device | str) -> "Pairs":
        """The same on a device."""
        return Pairs(self.source.to(device), self.target.to(device), self.references)

    def part(self, rows: Tensor) -> "Pairs":
        """Some of them, by int64 (B,) on the CPU."""
        references = tuple(self.references[i] for i in rows.tolist()) if self.references else ()
        return Pairs(self.source.part(rows), self.target.part(rows), references)


class StoredPairs:
    """:class:`Pairs` that are read when they are first looked at.

    Args:
        count: how many there are.
        device: where they will be.
        read: reads them.
    """

    def __init__(self, count: int, device: torch.device, read: Callable[[], Pairs]) -> None:
        self.count, self.device, self.read = count, device, read

    def __len__(self) -> int:
        return self.count

    @property
    def source(self) -> Sentences:
        """As of :class:`Pairs`."""
        return self.read().source

    @property
    def target(self) -> Sentences:
        """As of :class:`Pairs`."""
        return self.read().target

    @property
    def references(self) -> tuple[str, ...]:
        """As of :class:`Pairs`."""
        return self.read().references

    def part(self, rows: Tensor) -> Pairs:
        """As of :class:`Pairs`."""
        return self.read().part(rows)


@dataclass(frozen=True)
class ParallelText:
    """Text in two languages, ready to train on.

    Attributes:
        name: what to call it in figures and errors.
        languages: that are translated from, and to.
        source_pieces, target_pieces: of each vocabulary, by id.
        train, validation, test: the three parts.
        mean_tokens: of a training pair's source and target.
        device: where the tokens are.
        joining: how pieces become text, one of :data:`pruning.data.joining.JOININGS`.
        record: names the data set, for the summaries.
    """

    name: str
    languages: tuple[str, str]
    source_pieces: tuple[str, ...]
    target_pieces: tuple[str, ...]
    train: Pairs | StoredPairs
    validation: Pairs | StoredPairs
    test: Pairs | StoredPairs
    mean_tokens: tuple[float, float]
    device: torch.device
    joining: str
    record: dict

    @property
    def vocabulary(self) -> tuple[int, int]:
        """How many pieces source and target have."""
        return len(self.source_pieces), len(self.target_pieces)

    def text(self, ids: Sequence[int]) -> str:
        """Plain text of a target sentence, which ends before END where it has one.

        Raises:
            PruningError: a package that joining needs is not installed.
        """
        ids = list(ids)
        ids = ids[: ids.index(END)] if END in ids else ids
        return join(self.joining, self.languages[1], [self.target_pieces[i] for i in ids])


def load_text(path: Path | str, device: str | torch.device = "cpu") -> ParallelText:
    """Prepared text; sentences are read when they are first looked at.

    Args:
        path: the file that the data stage wrote.
        device: where the tokens are kept.

    Raises:
        PruningError: the file is missing, damaged or foreign, or is of images.
    """
    device = torch.device(device)
    header, counts, means = read_text_header(path)
    pieces = read_pieces(path)

    @cache
    def read() -> dict[str, Pairs]:
        if read_text_header(path)[0] != header:  # else text of one goes with counts of the other
            raise PruningError(
                f"The prepared data set {path} was made anew since it was loaded. Load it again."
            )
        data = read_text(path, header)
        return {name: _pairs(getattr(data, name), device) for name in SPLITS}

    splits = {
        name: StoredPairs(counts[name], device, lambda name=name: read()[name]) for name in SPLITS
    }
    record = {
        "dataset": header["name"],
        "source": header["source"],
        "languages": header["languages"],
        "pairs": counts,
        "vocabulary": dict(zip(("source", "target"), header["vocabulary"], strict=True)),
        **{key: header[key] for key in OPTIONAL if key in header},
    }
    return ParallelText(
        name=header["name"],
        languages=tuple(header["languages"]),
        source_pieces=pieces[0],
        target_pieces=pieces[1],
        mean_tokens=means,
        device=device,
        joining=header["joining"],
        record=record,
        **splits,
    )


def _pairs(split: TextSplit, device: torch.device) -> Pairs:
    return Pairs(_sentences(split.source), _sentences(split.target), split.references).to(device)


def _sentences(side: TextSide) -> Sentences:
    return Sentences(torch.from_numpy(side.tokens), torch.from_numpy(side.lengths).long())
