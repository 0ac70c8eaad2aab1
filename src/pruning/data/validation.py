"""Which images validate, as plain values: no torch, so that a study is checked fast."""

from dataclasses import dataclass

from pruning.errors import PruningError


@dataclass(frozen=True)
class Validation:
    """Where validation images come from.

    Renda et al. take 20 % of the *test* images (reference, section 4), so that no training image
    is lost and the reported test score is on the other 80 %. ``train`` holds training images out.
    """

    source: str = "test"
    fraction: float = 0.2

    def __post_init__(self) -> None:
        if self.source not in ("test", "train"):
            raise PruningError(
                f"Validation images come from 'test' or 'train', not {self.source!r}."
            )
        if not 0 <= self.fraction < 1:
            raise PruningError(
                f"The validation fraction must lie in [0, 1), it is {self.fraction}."
            )
