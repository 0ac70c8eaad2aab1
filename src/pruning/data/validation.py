"""Which examples validate, as plain values: no torch, so that a study is checked fast."""

from dataclasses import dataclass

from pruning.errors import PruningError

OWN = "own"
SOURCES = ("test", "train", OWN)


@dataclass(frozen=True)
class Validation:
    """Where validation examples come from.

    Renda et al. take 20 % of the *test* images (reference, section 4), so that no training image
    is lost and the reported test score is on the other 80 %. ``train`` holds training images out.
    ``own``: the data set has examples for it besides, as text has; all of them validate.

    Attributes:
        source: ``test``, ``train`` or ``own``.
        fraction: of the examples there; 0.2 where nothing is said, and always 1 of ``own``.
    """

    source: str = "test"
    fraction: float | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise PruningError(
                "Validation examples come from 'test' or 'train', or are the data set's 'own'; not "
                f"{self.source!r}."
            )
        if self.fraction is None:
            object.__setattr__(self, "fraction", 1.0 if self.source == OWN else 0.2)
        if self.source == OWN and self.fraction != 1:
            raise PruningError(
                f"validation: source {OWN!r} takes all that the data set has to validate with, so "
                f"its fraction is not {self.fraction}. Take the fraction out."
            )
        if self.source != OWN and not 0 <= self.fraction < 1:
            raise PruningError(
                f"The validation fraction must lie in [0, 1), it is {self.fraction}."
            )
