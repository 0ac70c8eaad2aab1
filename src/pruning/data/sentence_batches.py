"""Batches of pairs of sentences as a pure function of (seed, stream, position)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pruning.data.sentence_batching import SentenceBatching
from pruning.data.sentences import Pairs, SentenceBatch
from pruning.seeds import generator
from pruning.share import WHOLE, Share


@dataclass(frozen=True)
class _Epoch:
    """What one epoch's order makes full.

    Attributes:
        number: from 0.
        first: index of its first batch.
        batches: pairs of each batch, (count, size).
        rest: pairs that wait for more of their bucket, in the order in which they came.
    """

    number: int
    first: int
    batches: Tensor
    rest: Tensor


class SentenceStream:
    """The endless sequence of training batches of one run.

    Pairs come in an order drawn for each epoch and wait in the bucket of their length until it has
    a batch; batches are in the order in which they become full.

    Args:
        pairs: to train on.
        batching: batch size and buckets.
        seed: the study's seed.
        stream: what the run is, as (seed, stream) decides the order.
    """

    def __init__(
        self, pairs: Pairs, batching: SentenceBatching, seed: int, stream: Sequence[str | int]
    ) -> None:
        self.pairs, self.batching = pairs, batching
        self.seed, self.stream = seed, tuple(stream)
        self.buckets = joined_buckets(buckets(pairs, batching), batching.size)
        self._now = self._begin()

    def size(self, index: int) -> int:
        """How many pairs batch ``index`` has."""
        return self.batching.size

    def batch(self, index: int, share: Share = WHOLE) -> SentenceBatch:
        """Batch ``index``, counted from 0, or a share of it."""
        first, stop = share.rows(self.batching.size)
        return self.pairs.batch(self.rows(index)[first:stop])

    def rows(self, index: int) -> Tensor:
        """Which pairs batch ``index`` has, int64 (size,), on the CPU."""
        if index < self._now.first:  # what waits follows from all epochs before
            self._now = self._begin()
        while index >= self._now.first + len(self._now.batches):
            self._now = self._after(self._now)
        return self._now.batches[index - self._now.first]

    def _begin(self) -> _Epoch:
        none = torch.empty(0, dtype=torch.int64)
        return _Epoch(-1, 0, none.view(0, self.batching.size), none)

    def _after(self, epoch: _Epoch) -> _Epoch:
        number, size = epoch.number + 1, self.batching.size
        source = generator(self.seed, *self.stream, "order", number)
        came = torch.cat([epoch.rest, torch.randperm(len(self.pairs), generator=source)])
        bucket = self.buckets[came]
        places = bucket.argsort(stable=True)  # by bucket, and in each as they came
        counts = torch.bincount(bucket)
        ends = counts.cumsum(0)
        starts = ends - counts
        full = [
            places[start : start + count // size * size].view(-1, size)
            for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
        ]
        waiting = [
            places[end - count % size : end]
            for end, count in zip(ends.tolist(), counts.tolist(), strict=True)
        ]
        batches = torch.cat(full)
        batches = batches[batches[:, -1].argsort()]  # full when its last pair comes
        rest = torch.cat(waiting).sort().values
        return _Epoch(number, epoch.first + len(epoch.batches), came[batches], came[rest])


def buckets(pairs: Pairs, batching: SentenceBatching) -> Tensor:
    """The bucket of each pair, int64 (N,): what :class:`SentenceBatching` says."""
    found = pairs.source.lengths // batching.width
    if batching.of == "both":
        found = torch.maximum(found, (pairs.target.lengths + 1) // batching.width)
    return found


def joined_buckets(found: Tensor, size: int) -> Tensor:
    """Buckets of which each has a batch's worth of pairs, if there are so many.

    From the longest on, one that has fewer joins the next shorter; the shortest the next longer.
    """
    counts = torch.bincount(found).tolist()
    names, waiting, name = [0] * len(counts), [], 0
    total = 0
    for bucket in reversed(range(len(counts))):
        waiting.append(bucket)
        total += counts[bucket]
        if total >= size:
            for one in waiting:
                names[one] = name
            waiting, total, name = [], 0, name + 1
    for one in waiting:
        names[one] = max(0, name - 1)
    return torch.tensor(names)[found]


def scoring_rows(pairs: Pairs, count: int, source: torch.Generator) -> Tensor:
    """So many pairs at random, int64 (count,), on the CPU."""
    return torch.randperm(len(pairs), generator=source)[:count]
