"""Errors whose text is written for the person who has to act on it."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class PruningError(Exception):
    """Something the user can mend; the message is one paragraph that names it and says how."""


class TrainingDiverged(PruningError):
    """The training loss stopped being finite."""


def unknown(kind: str, name: object, known: Iterable[str]) -> PruningError:
    """The error for a name that is not in a registry, with what there is and the nearest match."""
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return PruningError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


def look_up(kind: str, name: str, table: Mapping[str, Value]) -> Value:
    """The entry of this name.

    Raises:
        PruningError: there is none; see :func:`unknown`.
    """
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]
