"""Learning rate as a pure function of the optimizer step."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from pruning.errors import PruningError

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class StepDecay:
    """Constant, multiplied by ``gamma`` at each milestone, with an optional linear warm-up.

    Attributes:
        learning_rate: the highest value.
        milestones: in epochs; the boundary is step int(epochs * steps per epoch) and the smaller
            value holds from that step on.
        gamma: factor at each milestone.
        warmup: epochs of linear climb from 0; the climb multiplies whatever the decay says.
    """

    learning_rate: float
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise PruningError(f"The learning rate must be positive, it is {self.learning_rate}.")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise PruningError(
                f"The milestones must be epochs in rising order: {list(self.milestones)}."
            )

    def boundaries(self, steps_per_epoch: Fraction) -> list[int]:
        """The steps at which the rate drops."""
        return [int(Fraction(str(epoch)) * steps_per_epoch) for epoch in self.milestones]

    def schedule(self, steps_per_epoch: Fraction) -> Schedule:
        """The learning rate by step."""
        boundaries = self.boundaries(steps_per_epoch)
        climb = float(Fraction(str(self.warmup)) * steps_per_epoch)

        def rate(step: int) -> float:
            value = self.learning_rate * self.gamma ** bisect_right(boundaries, step)
            return value * min(1.0, step / climb) if climb else value

        return rate


def constant(value: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: value
