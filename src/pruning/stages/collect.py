"""Stage: summaries -> a tidy table of a study."""

from collections.abc import Iterable
from pathlib import Path

from pruning.analysis.tidy import collect as collect_table
from pruning.analysis.tidy import write_table


def collect(study: str, summaries: Iterable[Path | str], output: Path | str) -> None:
    """Write the tidy table.

    Args:
        study: its name.
        summaries: ``summary.json`` files; ``timing.json`` lies beside each.
        output: the CSV to write.
    """
    write_table(collect_table(study, [Path(path).parent for path in summaries]), output)
