"""Stage: a paper's own result files -> a tidy table."""

from pathlib import Path

from pruning import registry
from pruning.analysis.tidy import write_table


def published(reader: str, source: Path | str, output: Path | str) -> None:
    """Write a paper's results as a tidy table.

    Args:
        reader: ``module:function`` that reads them.
        source: folder or address of its files.
        output: the CSV to write.

    Raises:
        PruningError: a file is missing, is not the one that was published, or is not safe to read.
    """
    write_table(registry.load(reader)(source), output)
