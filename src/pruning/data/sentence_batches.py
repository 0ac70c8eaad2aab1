"""Batches of sentences as a pure function of (seed, stream, position): nothing to save.

An epoch's order is drawn at once, and so is which pairs each of its batches has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pruning.data.order import keep_last_two
from pruning.data.pieces import BEGIN, END
from pruning.data.sentence_batching import SentenceBatching
from pruning.data.sentences import Pairs
from pruning.errors import PruningError
from pruning.seeds import generator
from pruning.share import WHOLE, Share


@dataclass(frozen=True)
class SentenceBatch:
    """Sentences and what a network is to say to them, on the device where nothing else is said.

    Attributes:
        source: ids (B, S) int64, padded with END.
        source_lengths: int64 (B,), on the CPU.
        given: BEGIN and the target, (B, T), padded with END.
        wanted: the target and END, (B, T), padded with END.
        lengths: of ``wanted`` with its END, int64 (B,), on the CPU.
    """

    source: Tensor
    source_lengths: Tensor
    given: Tensor
    wanted: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)


def sentence_batch(pairs: Pairs, rows: Tensor) -> SentenceBatch:
    """A batch of some pairs, by int64 (B,) on the CPU, in this order."""
    source, source_lengths = pairs.source.padded(rows)
    target, lengths = pairs.target.padded(rows)
    begin, end = (target.new_full((len(rows), 1), piece) for piece in (BEGIN, END))
    given, wanted = torch.cat([begin, target], 1), torch.cat([target, end], 1)
    return SentenceBatch(source, source_lengths, given, wanted, lengths + 1)


def buckets(pairs: Pairs, batching: SentenceBatching) -> np.ndarray:
    """Which bucket each pair is in: integers (N,) from 0 without a gap, in order of length.

    One with fewer pairs than a batch joins the next shorter one, and the shortest the next longer,
    so that rare lengths need not wait for many epochs.
    """
    length = pairs.source.lengths // batching.width
    if batching.of == "both":
        length = torch.maximum(length, (pairs.target.lengths + 1) // batching.width)
    _, numbered, counts = np.unique(length.numpy(), return_inverse=True, return_counts=True)
    joined = _joined(counts, batching.size)
    return joined[numbered].astype(np.uint16 if len(joined) <= 2**16 else np.int64)  # sorts fast


def _joined(counts: np.ndarray, size: int) -> np.ndarray:
    """The number of each bucket, once those of fewer pairs than ``size`` have joined others."""
    begins, waiting = np.zeros(len(counts), bool), 0
    for bucket in reversed(range(len(counts))):
        waiting += counts[bucket]
        if waiting >= size:
            begins[bucket], waiting = True, 0
    begins[0] = False  # what is left waits with the first that is whole
    if waiting and begins.any():
        begins[np.flatnonzero(begins)[0]] = False
    return begins.cumsum()


class SentenceOrder:
    """Which pairs each batch has.

    A run goes through all pairs epoch after epoch, each time in an order of its own, and puts each
    into its bucket; a batch is made when a bucket is full, which empties it.

    Args:
        bucket: of each pair, see :func:`buckets`.
        size: pairs per batch.
        seed: the study's seed.
        stream: what the run is.
    """

    def __init__(
        self, bucket: np.ndarray, size: int, seed: int, stream: Sequence[str | int]
    ) -> None:
        self.bucket, self.size = bucket, size
        self.seed, self.stream = seed, tuple(stream)
        self.counts = np.bincount(bucket)
        self._epochs: dict[int, np.ndarray] = {}
        # What is in the buckets, in the order in which it came, when an epoch begins.
        self._next, self._left = 0, np.empty(0, np.int64)

    def rows(self, index: int, share: Share = WHOLE) -> Tensor:
        """Which pairs batch ``index`` has, int64 (B,), on the CPU; or a share of it."""
        epoch = self._epoch_of(index)
        start, stop = share.rows(self.size)
        batch = self._batches(epoch)[index - self._before(epoch)]
        return torch.from_numpy(batch[start:stop])

    def _before(self, epoch: int) -> int:
        """How many batches are made before an epoch begins."""
        return int((epoch * self.counts // self.size).sum())

    def _epoch_of(self, index: int) -> int:
        """In which epoch a batch is made."""
        low = high = index * self.size // len(self.bucket)  # a batch is never made earlier
        while self._before(high + 1) <= index:
            low, high = high + 1, 2 * high + 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._before(middle + 1) > index else (middle + 1, high)
        return low

    def _batches(self, epoch: int) -> np.ndarray:
        """The batches that are made in an epoch, (steps, size)."""
        if epoch not in self._epochs:
            if epoch < self._next:
                self._next, self._left = 0, np.empty(0, np.int64)
            for passed in range(self._next, epoch + 1):
                keep_last_two(self._epochs, passed)
                self._epochs[passed] = self._go_through(passed)
        return self._epochs[epoch]

    def _go_through(self, epoch: int) -> np.ndarray:
        source = generator(self.seed, *self.stream, "order", epoch)
        order = torch.randperm(len(self.bucket), generator=source).numpy()
        seen = np.concatenate([self._left, order])
        bucket = self.bucket[seen]
        # Positions in `seen`, bucket after bucket, and within each as they came.
        places = bucket.argsort(kind="stable")
        counts = np.bincount(bucket, minlength=len(self.counts))
        within = np.arange(len(seen)) - (counts.cumsum() - counts).repeat(counts)
        batched = within < (counts // self.size * self.size).repeat(counts)
        batches = places[batched].reshape(-1, self.size)
        full = batches[:, -1].argsort()
        self._next, self._left = epoch + 1, seen[places[~batched]]
        return seen[batches[full]]


class SentenceStream:
    """The endless sequence of training batches of one run.

    Args:
        pairs: the pairs to draw from.
        batching: batch size, buckets.
        seed: the study's seed.
        stream: what the run is, as (seed, stream) decides the order.
    """

    def __init__(
        self, pairs: Pairs, batching: SentenceBatching, seed: int, stream: Sequence[str | int]
    ) -> None:
        batching.steps_per_epoch(len(pairs))  # refuses what can make no batches
        self.pairs, self.batching = pairs, batching
        self.order = SentenceOrder(buckets(pairs, batching), batching.size, seed, stream)

    def size(self, _index: int) -> int:
        """How many pairs a batch has."""
        return self.batching.size

    def batch(self, index: int, share: Share = WHOLE) -> SentenceBatch:
        """Batch ``index``, counted from 0, or a share of it; padded to the longest in it."""
        return sentence_batch(self.pairs, self.order.rows(index, share))


class ScoringSentences(Sequence):
    """Training pairs to score weights on, the first few in a random order, in batches.

    The sample is drawn, and each batch made, only when it is asked for. Lengths are mixed.

    Args:
        pairs: the training pairs.
        sentences: how many of them; none where it is 0.
        size: pairs per batch; the last may be smaller.
        generator: draws the order.
    """

    def __init__(
        self, pairs: Pairs, *, sentences: int, size: int, generator: torch.Generator
    ) -> None:
        self.pairs, self.sentences, self.size = pairs, sentences, size
        self.generator = generator

    @cached_property
    def rows(self) -> Tensor:
        """The sample, int64 (sentences,), on the CPU.

        Raises:
            PruningError: there are not so many.
        """
        if self.sentences > len(self.pairs):
            raise PruningError(
                f"Scoring wants {self.sentences} training pairs (`sentences`), but there are "
                f"{len(self.pairs)}. Lower it."
            )
        return torch.randperm(len(self.pairs), generator=self.generator)[: self.sentences]

    def __len__(self) -> int:
        return -(-self.sentences // self.size)

    def __getitem__(self, index: int) -> SentenceBatch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return sentence_batch(self.pairs, self.rows[index * self.size : (index + 1) * self.size])
