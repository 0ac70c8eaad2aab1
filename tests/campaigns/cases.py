"""What a campaign consists of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.campaigns.outcomes import Result

SEED = 17  # of everything that campaigns draw; printed with every table


@dataclass(frozen=True)
class Case:
    """One attempt.

    Attributes:
        campaign: which campaign it belongs to.
        number: its place there: the same number is the same attempt.
        label: what is done, to what.
        attempt: does it in a scratch folder of its own, which is removed afterwards.
    """

    campaign: str
    number: int
    label: str
    attempt: Callable[[Path], Result]

    @property
    def name(self) -> str:
        """How ``--only`` calls it."""
        return f"{self.campaign}:{self.number}"


def random(campaign: str, what: object) -> Random:
    """The generator of one attempt: the same whatever else is tried, in whatever order."""
    return Random(f"{SEED} {campaign} {what}")


def numbered(campaign: str, drawn: list[tuple[str, Callable[[Path], Result]]]) -> list[Case]:
    """Cases from (label, attempt)."""
    return [Case(campaign, i, label, attempt) for i, (label, attempt) in enumerate(drawn, 1)]
