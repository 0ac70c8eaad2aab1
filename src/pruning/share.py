"""How several processes share the examples of a batch. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The part of every batch that one of several processes computes.

    Attributes:
        rank: which process, from 0.
        processes: how many there are.
        group: examples that no boundary divides, counted from the start of a batch.
    """

    rank: int = 0
    processes: int = 1
    group: int = 1

    def rows(self, count: int) -> tuple[int, int]:
        """(start, stop) of this share of a batch of ``count`` examples.

        Groups are shared out as :func:`torch.tensor_split` does: as evenly as whole groups allow,
        the first processes having one more. Where there are fewer groups than processes, the last
        have nothing.
        """
        least, more = divmod(-(-count // self.group), self.processes)
        first = self.rank * least + min(self.rank, more)
        last = first + least + (self.rank < more)
        return min(first * self.group, count), min(last * self.group, count)

    def leaves_some_nothing(self, count: int) -> bool:
        """Whether a batch of ``count`` examples has fewer groups than there are processes."""
        return -(-count // self.group) < self.processes


WHOLE = Share()
