"""How training sentences become batches, as plain values: no torch, so a study is checked fast.

:mod:`pruning.data.sentence_batches` carries it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pruning.data.batching import MOST_PASSES
from pruning.errors import PruningError, unknown

MEASURES = ("source", "both")


@dataclass(frozen=True)
class SentenceBatching:
    """How pairs of sentences become batches: each of pairs of one bucket, of similar lengths.

    What is left of a bucket when an epoch ends goes into the next one's batches, so that nothing
    is dropped and an epoch is N / size steps. A bucket of fewer pairs than a batch has joins the
    next shorter one.

    Attributes:
        size: pairs per batch.
        width: tokens that a bucket spans. Where it is 1, nearly all batches have sources of one
            length, which need no padding.
        of: ``source``: a pair's bucket is its source tokens // width; ``both``: the larger of that
            and of (target tokens + 1) // width, the beginning counted, as Renda et al. (reference,
            section 2.5: width 10).
    """

    size: int
    width: int = 1
    of: str = "source"
    kind: str = field(default="sentences", init=False)

    def __post_init__(self) -> None:
        for key in ("size", "width"):
            if getattr(self, key) < 1:
                raise PruningError(f"batches.{key} must be at least 1, it is {getattr(self, key)}.")
        if self.of not in MEASURES:
            raise unknown("measure of buckets (batches.of)", self.of, MEASURES)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SentenceBatching":
        """From plain values, as a study file has them."""
        return cls(**values)

    def steps_per_epoch(self, pairs: int) -> Fraction:
        """Optimizer steps in one epoch over so many pairs, exactly."""
        if self.size > MOST_PASSES * pairs:
            raise PruningError(
                f"A batch of {self.size} (batches.size) would have each of the {pairs} training "
                "pairs very often. Use a smaller batch."
            )
        return Fraction(pairs, self.size)

    def smallest(self, pairs: int) -> int:
        """How many pairs the smallest batch has, of a training set of so many."""
        return self.size
