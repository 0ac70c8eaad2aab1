"""Stage: summaries and reports -> a tidy table of a study."""

from collections.abc import Iterable
from pathlib import Path

from pruning.analysis.tidy import collect as collect_table
from pruning.analysis.tidy import write_table


def collect(
    study: str, trainings: Iterable[tuple[Path | str, Path | str | None]], output: Path | str
) -> None:
    """Write the tidy table.

    Args:
        study: its name.
        trainings: folder of each, and the report of its mask where it has one.
        output: the CSV to write.
    """
    trainings = list(trainings)
    write_table(collect_table(study, trainings), output, len(trainings))
