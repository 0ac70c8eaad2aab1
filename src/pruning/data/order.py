"""In which order a run visits its training images, and which of them each batch has."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pruning.data.batching import Batching
from pruning.seeds import generator
from pruning.share import WHOLE, Share

Piece = tuple[int, int, int]  # (epoch, start, stop): positions in an epoch's order


class Order:
    """The order of every epoch, drawn from (seed, stream, epoch) when it is first asked for.

    Args:
        count: how many images there are.
        batching: batch size, epoch boundaries.
        seed: the study's seed.
        stream: what the run is.
    """

    def __init__(
        self, count: int, batching: Batching, seed: int, stream: Sequence[str | int]
    ) -> None:
        self.count, self.batching = count, batching
        self.seed, self.stream = seed, tuple(stream)
        self._epochs: dict[int, Tensor] = {}

    def size(self, index: int) -> int:
        """How many images batch ``index`` has."""
        return sum(stop - start for _, start, stop in self._pieces(index))

    def pieces(self, index: int, share: Share = WHOLE) -> list[Piece]:
        """What a share has of batch ``index``; one empty piece for nothing."""
        return _rows(self._pieces(index), share)

    def images(self, piece: Piece) -> Tensor:
        """Which images a piece is of, int64 (B,), on the CPU."""
        epoch, start, stop = piece
        return self._epoch(epoch)[start:stop]

    def _pieces(self, index: int) -> list[Piece]:
        """The batch in pieces; only batches that straddle epochs have two."""
        count, size = self.count, self.batching.size
        if self.batching.epoch_boundary != "straddle":
            epoch, within = divmod(index, int(self.batching.steps_per_epoch(count)))
            return [(epoch, within * size, min((within + 1) * size, count))]
        pieces, position, stop = [], index * size, (index + 1) * size
        while position < stop:
            epoch, start = divmod(position, count)
            taken = min(stop - position, count - start)
            pieces.append((epoch, start, start + taken))
            position += taken
        return pieces

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            keep_last_two(self._epochs, epoch)
            source = generator(self.seed, *self.stream, "order", epoch)
            self._epochs[epoch] = torch.randperm(self.count, generator=source)
        return self._epochs[epoch]


def keep_last_two(epochs: dict, epoch: int) -> None:
    """Forget what was drawn for epochs before the one before this."""
    for old in [e for e in epochs if e < epoch - 1]:
        del epochs[old]


def onwards(order: Order, index: int, share: Share) -> Iterator[list[Piece]]:
    """The pieces of batch ``index``, of the next, and so on without end."""
    while True:
        yield order.pieces(index, share)
        index += 1


def _rows(pieces: Sequence[Piece], share: Share) -> list[Piece]:
    first, last = share.rows(sum(stop - start for _, start, stop in pieces))
    rows, before = [], 0
    for epoch, start, stop in pieces:
        low, high = (min(max(at - before, 0), stop - start) for at in (first, last))
        if low < high:
            rows.append((epoch, start + low, start + high))
        before += stop - start
    return rows or [(pieces[0][0], 0, 0)]
