"""Pairs of sentences on the device that trains: all pieces in one row, and how many each has."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from pruning.data.pieces import BEGIN, END


@dataclass(frozen=True)
class Sentences:
    """Sentences of one language.

    Attributes:
        pieces: all of them, one sentence after the other, int32, on the device.
        lengths: of each sentence, int64 (N,), on the CPU; beginning and end are not counted.
    """

    pieces: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def _starts(self) -> Tensor:
        return self.lengths.cumsum(0) - self.lengths

    def padded(self, rows: Tensor) -> Tensor:
        """Some sentences, (B, L) int64 on the device, filled up with ends.

        Args:
            rows: which, int64 (B,), on the CPU.
        """
        lengths, device = self.lengths[rows], self.pieces.device
        places = torch.arange(int(lengths.max()) if len(rows) else 0)
        inside = places < lengths[:, None]
        index = (self._starts[rows][:, None] + places).masked_fill_(~inside, 0)
        index, inside = (t.to(device, non_blocking=True) for t in (index, inside))
        if not self.pieces.numel():
            return torch.full(index.shape, END, device=device)
        return self.pieces[index].long().masked_fill_(~inside, END)

    def to(self, device: torch.device) -> "Sentences":
        """The same with its pieces on a device."""
        return Sentences(self.pieces.to(device), self.lengths)


@dataclass(frozen=True)
class SentenceBatch:
    """Some pairs, as a network takes them.

    Attributes:
        source: (B, S), without beginning and end.
        source_lengths: (B,), on the CPU.
        given: what the decoder reads, (B, T): the beginning and the target.
        wanted: what it should say, (B, T): the target and its end.
        lengths: of these, (B,), on the CPU.
    """

    source: Tensor
    source_lengths: Tensor
    given: Tensor
    wanted: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True)
class Pairs:
    """Sentences and their translations.

    Attributes:
        source, target: as many sentences of each.
        references: the translations as plain text; none of training pairs.
    """

    source: Sentences
    target: Sentences
    references: Sequence[str] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, rows: Tensor) -> SentenceBatch:
        """Some pairs, by int64 (B,) on the CPU."""
        target = self.target.padded(rows)
        edge = target.new_full((len(rows), 1), END)
        return SentenceBatch(
            self.source.padded(rows),
            self.source.lengths[rows],
            torch.cat([torch.full_like(edge, BEGIN), target], 1),
            torch.cat([target, edge], 1),  # what is filled up with ends has its own there
            self.target.lengths[rows] + 1,
        )

    def to(self, device: torch.device) -> "Pairs":
        """The same on a device."""
        return Pairs(self.source.to(device), self.target.to(device), self.references)
