"""How pairs of sentences become batches, as plain values: no torch, so studies are checked fast.

:mod:`pruning.data.sentence_batches` carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pruning.data.batching import MOST_PASSES
from pruning.errors import PruningError, unknown

SIDES = ("source", "both")


@dataclass(frozen=True)
class SentenceBatching:
    """How pairs of sentences become batches of one length, or nearly.

    A batch is filled from one bucket. What is left of a bucket when an epoch is over is carried
    into the next, and nothing is dropped: so an epoch is N/size steps. Buckets of fewer pairs than
    a batch, rare lengths, join their neighbours; see :func:`pruning.data.sentence_batches.buckets`.

    Attributes:
        size: pairs per batch.
        width: how many lengths share a bucket; with 1 ``of: source`` there is nothing to pad in
            the source but where lengths are rare.
        of: ``source``: a bucket is source tokens // width; ``both``: the larger of that and
            (target tokens + 1) // width, as Renda et al.'s GNMT has it at width 10, which counts
            the target's beginning (reference, section 2.5).
        epoch_boundary: ``straddle``, as no batch ends with an epoch.
    """

    size: int
    width: int = 1
    of: str = "source"
    epoch_boundary: str = "straddle"
    kind: str = field(default="sentences", init=False)

    def __post_init__(self) -> None:
        for key, value in (("size", self.size), ("width", self.width)):
            if value < 1:
                raise PruningError(f"batches.{key} must be at least 1, it is {value}.")
        if self.of not in SIDES:
            raise unknown("side to make buckets of (batches.of)", self.of, SIDES)
        if self.epoch_boundary != "straddle":
            raise PruningError(
                f"Batches of sentences straddle epochs, so epoch_boundary: {self.epoch_boundary} "
                "does not go with `kind: sentences`. Take it out."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SentenceBatching":
        """A batching from plain values, as a study file has them. Raises like the class itself."""
        return cls(**values)

    def steps_per_epoch(self, pairs: int) -> Fraction:
        """Optimizer steps in which ``pairs`` pairs are seen once, exactly."""
        if not pairs:
            raise PruningError("No training pair is left. Use a data set that has some.")
        if self.size > MOST_PASSES * pairs:
            raise PruningError(
                f"A batch of {self.size} (batches.size) would have each of the {pairs} training "
                f"pairs {self.size // pairs:,} times. Use a smaller batch."
            )
        return Fraction(pairs, self.size)

    def smallest(self, _pairs: int) -> int:
        """How many pairs the smallest batch has, of a training set of so many."""
        return self.size
