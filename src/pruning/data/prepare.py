"""From the files people have to arrays, or to a list of them. Runs once per data set, by a stage.

Each reader is in a module of its own, so that a change to one leaves the other data sets alone.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pruning.data import store
from pruning.data.sources import Source, find_source, write_note
from pruning.data.store import Prepared
from pruning.errors import PruningError

log = logging.getLogger("pruning")


def prepare(name: str, kind: str, root: Path, options: dict[str, Any]) -> Prepared:
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


def prepare_file(
    name: str,
    kind: str,
    root: Path,
    options: Mapping[str, Any],
    output: Path | str,
    changes: int = 0,
) -> None:
    """Decode one data set into a file, with what it was read from, and say what was left out.

    Args:
        name, kind, root, options: as of :func:`prepare`.
        output: the prepared file.
        changes: as of :func:`pruning.data.sources.count_changes`.

    Raises:
        PruningError: see :func:`prepare`; or the source files changed while they were read.
    """
    data, source = _read(name, kind, root, options)
    for done, counts in (("left out", data.skipped), ("converted", data.converted)):
        if counts:
            told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            log.warning("Data set %r: %s: %s.", name, done, told)
    content = data.source_sha256 or (source.sha256 if source else None)
    store.save(replace(data, source_sha256=content), output)
    if source is not None:
        write_note(output, source, changes, content)


def _read(
    name: str, kind: str, root: Path, options: Mapping[str, Any]
) -> tuple[Prepared, Source | None]:
    """A data set, and the files that it was read from."""
    source = find_source(name, kind, root, options)
    for _ in range(2):  # a reader may download what is missing
        stamp = source and source.stamp
        if source is not None:
            log.info("%s: %d files in %s", name, len(source.files), source.location)
        data = prepare(name, kind, root, dict(options))
        source = find_source(name, kind, root, options)
        if stamp is None or (source is not None and source.stamp == stamp):
            return data, source
    raise PruningError(
        f"Data set {name!r}: its source files changed while they were read. Run this again when "
        "they are all there."
    )
