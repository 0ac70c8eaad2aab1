"""What networks are compared by: scores, how they are written, and which way is better.

Imports no torch: tables, claims and figures read it too. Which scores there are by name is in
:data:`pruning.registry.METRICS`; a task names its own (:attr:`pruning.training.task.Task.metric`).
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """The score that networks of a task are compared by.

    Scores are kept in their own unit, and shown as that times ``factor``.

    Attributes:
        name: its key in what :meth:`pruning.training.task.Task.evaluate` gives.
        unit: "fraction", "BLEU", ...; of a score as it is kept.
        higher_is_better: whether the larger of two scores is the better one.
        factor: from a score as it is kept to one that is shown.
        shown_unit: of a score that is shown; None for ``unit``.
        change_unit: of the difference of two that are shown; None for ``shown_unit``.
        title: what sentences and axes call it; None for ``name``.
        bounds: the lowest and the highest score there can be, as kept, where there are both.
        resolution: axes are no finer: a difference of shown scores that is not worth a whole axis.
        chance: from the number of classes to the score of guessing, as kept, where that is known.
        step: from the number of examples to what one of them changes a score by, as kept, where
            that is the same for all.
    """

    name: str
    unit: str
    higher_is_better: bool
    factor: float = 1.0
    shown_unit: str | None = None
    change_unit: str | None = None
    title: str | None = None
    bounds: tuple[float, float] | None = None
    resolution: float = 0.5
    chance: Callable[[int], float] | None = None
    step: Callable[[int], float] | None = None

    def __post_init__(self) -> None:
        shown = self.unit if self.shown_unit is None else self.shown_unit
        defaults = {
            "shown_unit": shown,
            "change_unit": shown if self.change_unit is None else self.change_unit,
            "title": self.name if self.title is None else self.title,
        }
        for attribute, value in defaults.items():
            object.__setattr__(self, attribute, value)

    @property
    def sign(self) -> int:
        """1 or -1: times this, a change for the better is positive."""
        return 1 if self.higher_is_better else -1

    @property
    def axis(self) -> str:
        """The label of an axis of shown test scores, like "Test accuracy (%)" or "Test BLEU"."""
        return f"Test {self._with_unit(self.title, self.shown_unit)}"

    @property
    def change_axis(self) -> str:
        """The label of an axis of changes, like "Accuracy change (pp)" or "BLEU change"."""
        title = self.title[:1].upper() + self.title[1:]
        return self._with_unit(f"{title} change", self.change_unit)

    def _with_unit(self, text: str, unit: str) -> str:
        """With the unit in brackets, unless it is none or the score's own name."""
        return text if unit in ("", self.title, self.name) else f"{text} ({unit})"


def _one_of(number: int) -> float:
    return 1 / number


ACCURACY = Metric(
    "accuracy",
    "fraction",
    higher_is_better=True,
    factor=100.0,
    shown_unit="%",
    change_unit="pp",
    bounds=(0.0, 1.0),
    chance=_one_of,  # of classes
    step=_one_of,  # of examples
)
BLEU = Metric("bleu", "BLEU", higher_is_better=True, title="BLEU")
