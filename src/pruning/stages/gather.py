"""Stage: CSV files of single cells -> one table of a study."""

from collections.abc import Iterable
from pathlib import Path

from pruning.analysis.gathering import gather as gather_table
from pruning.analysis.tables import columns
from pruning.analysis.tidy import write_table


def gather(
    study: str, name: str, cells: Iterable[tuple[Path | str, Path | str]], output: Path | str
) -> None:
    """Write the table.

    Args:
        study: its name.
        name: of the table, see :mod:`pruning.analysis.tables`.
        cells: (summary, CSV) of each; the summary says which cell it is.
        output: the CSV to write.
    """
    cells = list(cells)
    write_table(gather_table(study, cells, columns(name)), output, len(cells))
