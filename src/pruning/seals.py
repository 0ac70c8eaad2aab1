"""How a file says whether it is whole, and where it belongs.

What a stage writes carries a *seal*: a checksum of its content and its *place*, the path below
``results`` that it was written to, which names its cell (study, seed, method, level, epoch). JSON
has both among its keys, safetensors files in their metadata, and a CSV in a small JSON file beside
it, so that other programs read it as ever. Below ``results`` what has no seal, another content than
its seal says, or another place, is refused where it is read; elsewhere a file may be anybody's, and
a checksum is compared where there is one.

The checksums find damage, old copies and edits by hand; they keep nobody from forging a file.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning.errors import PruningError

CHECKSUM, PLACE = "checksum", "place"
AGAIN = "Delete it; the next run makes it again."
# What stages write: of a replicate, prepared data, tables. Not everything in a folder of this name.
_PLACES = re.compile(
    r"(?:^|.*/)results/([^/]+/seed[0-9]+/.+|data/[^/]+|published/.+|[^/]+/[^/]+[.]csv(?:[.]json)?)"
)


def place(path: Path | str) -> str | None:
    """The place of a path, like ``digits/seed0/dense/summary.json``; None where no stage writes."""
    found = _PLACES.fullmatch(Path(path).as_posix())
    return found[1] if found else None


def digest(value: Any) -> str:
    """A short hash of a JSON-representable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sealed(value: Mapping[str, Any], path: Path | str) -> dict[str, Any]:
    """Plain values with a seal for where they are written to."""
    told = json.loads(json.dumps(value))  # as they are read: keys are texts, tuples are lists
    where = place(path)
    if where is not None:
        told[PLACE] = where
    return told | {CHECKSUM: digest(told)}


def opened(value: Any, path: Path | str) -> Any:
    """What :func:`sealed` was given, of what was read from a path.

    Raises:
        PruningError: it is not as it was written, or not of this place.
    """
    has = isinstance(value, dict) and CHECKSUM in value
    where = place(path)
    if not has:
        if where is not None:
            raise unsealed(path)
        return value
    told = dict(value)
    if told.pop(CHECKSUM) != digest(told):
        raise changed(path)
    written = told.pop(PLACE, None)
    if where is not None and written != where:
        raise PruningError(
            f"{path} is another file, copied or moved here: it was written "
            + (f"as results/{written}" if written else "outside results/")
            + f". {AGAIN}"
        )
    return told


def content(tensors: Mapping[str, tuple[str, tuple[int, ...], Any]]) -> str:
    """A checksum of arrays: their names, types, shapes and bytes.

    Args:
        tensors: (type, shape, contiguous bytes) by name, in any order.
    """
    # CRC-32 runs at the speed of memory; SHA-256 would take longer than reading the file.
    return digest(
        {name: [kind, list(shape), zlib.crc32(b)] for name, (kind, shape, b) in tensors.items()}
    )


def unsealed(path: Path | str) -> PruningError:
    """The error for a file without a seal."""
    return PruningError(
        f"{path} has no checksum: it was made by an older version, or by something else. {AGAIN}"
    )


def changed(path: Path | str) -> PruningError:
    """The error for a file that is not what was written."""
    return PruningError(f"{path} is not as it was written: it is damaged, or was edited. {AGAIN}")
