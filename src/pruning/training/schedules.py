"""Learning rate as a pure function of the optimizer step."""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any

from pruning.errors import PruningError, look_up, unknown

Schedule = Callable[[int], float]

BOUNDARIES = ("at", "after")
CLIMBS = ("linear", "exponential")


@dataclass(frozen=True)
class StepDecay:
    """Constant, multiplied by ``gamma`` at each milestone, with an optional linear warm-up.

    Attributes:
        learning_rate: the highest value.
        milestones: in epochs.
        gamma: factor at each milestone.
        warmup: epochs of linear climb from 0; the climb multiplies whatever the decay says.
        boundary: ``at``: the smaller value holds from the first step on that begins when a
            milestone's epochs are over; ``after``: from the first that begins later than that, as
            by TensorFlow's ``piecewise_constant``. The two differ where a milestone is a whole
            number of steps.
    """

    learning_rate: float
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0
    boundary: str = "at"
    shape: str = field(default="step", init=False)

    def __post_init__(self) -> None:
        _require_possible(self.learning_rate, self.warmup)
        if not 0 < self.gamma <= 1:
            raise PruningError(
                f"Gamma is what a milestone multiplies the rate by, above 0 and at most 1; it is "
                f"{self.gamma}."
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise PruningError(
                f"The milestones must be epochs in rising order: {list(self.milestones)}."
            )
        if self.boundary not in BOUNDARIES:
            raise unknown("side of a milestone's boundary", self.boundary, BOUNDARIES)

    def boundaries(self, steps_per_epoch: Fraction) -> list[int]:
        """The first step, from 0, of each smaller rate."""
        ends = (Fraction(str(epoch)) * steps_per_epoch for epoch in self.milestones)
        return [math.floor(end) + 1 if self.boundary == "after" else math.ceil(end) for end in ends]

    def schedule(self, steps_per_epoch: Fraction, epochs: float | None = None) -> Schedule:
        """The learning rate by step; how long training takes decides nothing."""
        boundaries = self.boundaries(steps_per_epoch)

        def rate(step: int) -> float:
            return self.learning_rate * self.gamma ** bisect_right(boundaries, step)

        return _climbing(rate, self.warmup, steps_per_epoch)


@dataclass(frozen=True)
class CosineDecay:
    """Half a cosine, from the highest value to 0 at the end (Loshchilov & Hutter 2017).

    Attributes:
        learning_rate: the highest value.
        warmup: epochs of linear climb from 0; the climb multiplies whatever the decay says.
        per: ``epoch``: the rate changes where an epoch begins, as torch's ``CosineAnnealingLR``
            does when it is stepped once per epoch; ``step``: in every step.
    """

    learning_rate: float
    warmup: float = 0.0
    per: str = "epoch"
    shape: str = field(default="cosine", init=False)

    def __post_init__(self) -> None:
        _require_possible(self.learning_rate, self.warmup)
        if self.per not in ("epoch", "step"):
            raise PruningError(f"A cosine changes per 'epoch' or per 'step', not {self.per!r}.")

    def schedule(self, steps_per_epoch: Fraction, epochs: float) -> Schedule:
        """The learning rate by step of a training that takes so many epochs."""

        def rate(step: int) -> float:
            done = step / steps_per_epoch
            done = done if self.per == "step" else math.floor(done)
            return self.learning_rate * (1 + math.cos(math.pi * min(1.0, done / epochs))) / 2

        return _climbing(rate, self.warmup, steps_per_epoch)


@dataclass(frozen=True)
class Pieces:
    """A rate that is constant in pieces, all in steps: for published schedules that are, whatever
    an epoch is.

    Attributes:
        learning_rate: what factors multiply; also the rate before the first piece.
        pieces: (first step, from 0, factor) of each, rising. One may begin where the training
            ends: that is the rate of trainings that go on from there.
        climb_steps: of a warm-up, which multiplies whatever the pieces say.
        climb: ``linear``: from 0, by step / climb_steps; ``exponential``: by 0.01^((climb_steps -
            step) / climb_steps) (Renda et al. for GNMT; reference, section 2.5).
    """

    learning_rate: float
    pieces: tuple[tuple[int, float], ...] = ()
    climb_steps: int = 0
    climb: str = "linear"
    shape: str = field(default="pieces", init=False)

    def __post_init__(self) -> None:
        _require_possible(self.learning_rate)
        if not _is_step(self.climb_steps):
            raise PruningError(
                f"climb_steps are the whole steps of a climb, or 0; they are {self.climb_steps}."
            )
        if self.climb not in CLIMBS:
            raise unknown("climb of a warm-up", self.climb, CLIMBS)
        if self.climb != "linear" and not self.climb_steps:
            raise PruningError(f"climb: {self.climb} takes no steps. Say climb_steps too.")
        if any(len(piece) != 2 for piece in self.pieces):
            raise PruningError(
                "Each piece of a schedule is its first step and a factor, "
                f"not {[list(piece) for piece in self.pieces if len(piece) != 2]}."
            )
        steps = [step for step, _ in self.pieces]
        if steps != sorted(set(steps)) or not all(step and _is_step(step) for step in steps):
            raise PruningError(
                f"The pieces of a schedule begin at rising steps, whole numbers from 1 on: {steps}."
            )
        if not all(0 < factor < math.inf for _, factor in self.pieces):
            raise PruningError(
                "The factors of a schedule's pieces must be positive: "
                f"{[factor for _, factor in self.pieces]}."
            )

    def schedule(self, steps_per_epoch: Fraction, epochs: float | None = None) -> Schedule:
        """The learning rate by step; neither epochs nor how many there are decide anything."""
        steps = [step for step, _ in self.pieces]
        factors = [1.0, *(factor for _, factor in self.pieces)]

        def rate(step: int) -> float:
            return self.learning_rate * factors[bisect_right(steps, step)] * self._climbed(step)

        return rate

    def _climbed(self, step: int) -> float:
        if step >= self.climb_steps:
            return 1.0
        if self.climb == "linear":
            return step / self.climb_steps
        return 0.01 ** ((self.climb_steps - step) / self.climb_steps)


AnySchedule = StepDecay | CosineDecay | Pieces
SHAPES: dict[str, type[AnySchedule]] = {"step": StepDecay, "cosine": CosineDecay, "pieces": Pieces}


def schedule_from_dict(values: Mapping[str, Any]) -> AnySchedule:
    """A learning rate from plain values, as a study file has them; ``shape`` says which.

    Raises:
        PruningError: an unknown shape, or a key that goes with another.
    """
    values = dict(values)
    shape = values.pop("shape", "step")
    found = look_up("shape of a learning rate's schedule", shape, SHAPES)
    known = {f.name for f in fields(found)}
    for key in values:
        if key not in known:
            raise PruningError(
                f"schedule: {key!r} does not go with `shape: {shape}`. Take it out, or choose "
                "another shape."
            )
    if "milestones" in values:
        values["milestones"] = tuple(values["milestones"])
    if "pieces" in values:
        values["pieces"] = tuple(map(tuple, values["pieces"]))
    return found(**values)


def _is_step(number: float) -> bool:
    return 0 <= number < math.inf and number == int(number)


def _require_possible(learning_rate: float, warmup: float = 0.0) -> None:
    if not 0 < learning_rate < math.inf:
        raise PruningError(f"The learning rate must be positive, it is {learning_rate}.")
    if not 0 <= warmup < math.inf:
        raise PruningError(f"The warm-up takes no epochs, or some; it is {warmup}.")


def _climbing(rate: Schedule, warmup: float, steps_per_epoch: Fraction) -> Schedule:
    climb = float(Fraction(str(warmup)) * steps_per_epoch)
    return (lambda step: rate(step) * min(1.0, step / climb)) if climb else rate


def constant(value: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: value
