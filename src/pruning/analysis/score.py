"""Which of a table's metrics is a study's score, and how it is shown.

A tidy table has several metrics of every training, like accuracy and loss. A study's *score*, the
metric that its task is judged by, is the first of its metrics that is known to
:data:`pruning.registry.METRICS`: :func:`pruning.analysis.tidy.collect` puts it first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from pruning import registry
from pruning.errors import PruningError
from pruning.training.metric import Metric

TEST = "test"


@dataclass(frozen=True)
class Step:
    """What one test example changes a study's score by.

    Attributes:
        examples: how many there are.
        size: of the change, as it is shown.
        unit: of the change.
    """

    examples: int
    size: float
    unit: str


def find(name: str) -> Metric:
    """A metric by its name in :data:`pruning.registry.METRICS` or in those from outside.

    Raises:
        PruningError: there is none of this name, or what has it is no metric.
    """
    place = registry.entry("metric", name)
    found = registry.load(place)
    if not isinstance(found, Metric):
        raise PruningError(f"{place} is no Metric; see pruning.training.metric.")
    return found


def scores_of(tidy: pd.DataFrame) -> dict[str, str]:
    """By study the name of its score, of those that have a metric that is known."""
    first = tidy[tidy["metric"].isin(registry.known("metric"))].drop_duplicates("study")
    return dict(zip(first["study"], first["metric"], strict=True))


def steps(tidy: pd.DataFrame, examples: Mapping[str, int]) -> dict[str, Step]:
    """By study what one test example changes its score by, of scores that have such a step.

    Args:
        tidy: of one or more studies.
        examples: by study the number of its test examples, of those where it is known.
    """
    metrics = {study: find(name) for study, name in scores_of(tidy).items() if study in examples}
    return {
        study: Step(number, metric.factor * metric.step(number), metric.change_unit)
        for study, metric in metrics.items()
        if metric.step is not None and (number := examples[study]) > 0
    }


def scored(tidy: pd.DataFrame, split: str | None = TEST) -> pd.DataFrame:
    """The rows of each study's score.

    Args:
        tidy: of one or more studies, see :mod:`pruning.analysis.tidy`.
        split: whose scores; None for all.

    Raises:
        PruningError: a study with no metric that is known.
    """
    score = tidy["study"].map(scores_of(tidy))
    if score.isna().any():
        raise PruningError(
            f"The table of study {tidy['study'][score.isna()].iloc[0]!r} has no metric of "
            f"{', '.join(registry.known('metric'))}. Add its task's score to a table METRICS, see "
            "pruning.registry."
        )
    rows = tidy[tidy["metric"] == score]
    return rows if split is None else rows[rows["split"] == split]


def shown(values: pd.Series, metrics: pd.Series) -> pd.Series:
    """Scores as they are shown: in percent, in BLEU, ...

    Args:
        values: as they are kept.
        metrics: the name of the metric of each.
    """
    return values * metrics.map({name: find(name).factor for name in metrics.unique()})


def units(metrics: pd.Series) -> pd.Series:
    """The unit of a change of each metric, by its name."""
    return metrics.map({name: find(name).change_unit for name in metrics.unique()})


def of_units(change_units: pd.Series) -> pd.Series:
    """The name of the metric whose changes are in each unit; missing where no metric's are."""
    return change_units.map({find(name).change_unit: name for name in registry.known("metric")})


def signs(metrics: pd.Series) -> pd.Series:
    """What makes a change for the better positive: 1 or -1 for each metric, by its name."""
    return metrics.map({name: find(name).sign for name in metrics.unique()}).astype(float)


def only(metrics: Iterable[str]) -> Metric:
    """The metric of rows that all have the same, like those of one study."""
    (name,) = set(metrics)
    return find(name)
