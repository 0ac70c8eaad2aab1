"""Stage: source files of a data set -> uint8 tensors on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning.data import store
from pruning.data.prepare import prepare


def prepare_data(
    name: str, options: Mapping[str, Any], root: Path | str, output: Path | str
) -> None:
    """Decode a data set once.

    Args:
        name: its key in the configuration.
        options: ``kind`` and what the kind takes.
        root: where its source files are, or are downloaded to.
        output: the prepared file.

    Raises:
        PruningError: see :func:`pruning.data.prepare.prepare`.
    """
    options = dict(options)
    store.save(prepare(name, options.pop("kind"), Path(root), options), output)
