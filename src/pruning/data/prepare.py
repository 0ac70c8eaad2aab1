"""From the files people have to arrays. Runs once per data set, in a stage of its own.

Each reader is in a module of its own, so that a change to one leaves the other data sets alone.
"""

from pathlib import Path
from typing import Any

from pruning.data.store import ImageData
from pruning.errors import PruningError


def prepare(name: str, kind: str, root: Path, options: dict[str, Any]) -> ImageData:
    """Decode one data set.

    Args:
        name: the key it has in the configuration.
        kind: a name in :data:`pruning.registry.DATASET_KINDS`.
        root: folder to look in, and to download to.
        options: what the kind takes besides.

    Raises:
        PruningError: unknown kind or option; files missing, unreadable or damaged.
    """
    from pruning import registry

    reader = registry.find("data set kind", kind)
    options = registry.checked_options("data set kind", kind, options, f"data set {name!r}")
    try:
        return reader(name, root, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error) and "required" not in str(error):
            raise
        raise PruningError(
            f"Data set {name!r} (kind {kind}) has an option that does not fit: {error}. "
            "See config/README.md for the options of each kind."
        ) from None
