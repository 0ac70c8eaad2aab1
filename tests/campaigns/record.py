"""What was tried: one line of JSON per case, and the table that comes of them."""

import json
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.outcomes import Outcome


@dataclass(frozen=True)
class Tried:
    """A case that was tried.

    Attributes:
        name: its campaign and number.
        label: what was done.
        outcome: how it ended; None where it did not apply.
        why: a line that explains it.
        seconds: that it took.
    """

    name: str
    label: str
    outcome: Outcome | None
    why: str
    seconds: float

    @property
    def campaign(self) -> str:
        """The campaign it belongs to."""
        return self.name.partition(":")[0]


def read(path: Path) -> list[Tried]:
    """What was recorded so far; a line that a kill cut short is left out."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        outcome = told["outcome"] and Outcome(told["outcome"])
        found.append(Tried(**{**told, "outcome": outcome}))
    return found


def add(path: Path, tried: Tried) -> None:
    """Append a case, in one write."""
    with open(path, "a") as file:
        file.write(json.dumps(tried.__dict__) + "\n")


def table(tried: Iterable[Tried]) -> str:
    """Counts by campaign and outcome, in Markdown."""
    counts: dict[str, Counter] = {}
    for one in tried:
        if one.outcome is not None:
            counts.setdefault(one.campaign, Counter())[one.outcome] += 1
    total = sum(counts.values(), Counter())
    rows = [["campaign", "tried", *Outcome], ["---"] * (2 + len(Outcome))]
    for name, count in (*sorted(counts.items()), ("all", total)):
        rows.append([name, count.total(), *(count[outcome] for outcome in Outcome)])
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def ended(tried: Iterable[Tried], outcomes: Container[Outcome]) -> list[Tried]:
    """The cases that ended in one of these."""
    return [one for one in tried if one.outcome is not None and one.outcome in outcomes]
