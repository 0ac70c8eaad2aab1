"""Stage: source files of a data set -> uint8 tensors on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning.data.prepare import prepare_file


def prepare_data(
    name: str,
    options: Mapping[str, Any],
    root: Path | str,
    output: Path | str,
    source_changes: int = 0,
) -> None:
    """Decode a data set once.

    Args:
        name: its key in the configuration.
        options: ``kind`` and what the kind takes.
        root: where its source files are, or are downloaded to.
        output: the prepared file.
        source_changes: as of :func:`pruning.data.sources.count_changes`.

    Raises:
        PruningError: see :func:`pruning.data.prepare.prepare_file`.
    """
    options = dict(options)
    prepare_file(name, options.pop("kind"), Path(root), options, output, source_changes)
