"""What keys and values of a JSON file have to be, said in a table and checked in one place."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pruning.errors import PruningError
from pruning.files import read_json
from pruning.seals import AGAIN

Check = tuple[str, Callable[[Any], bool]]


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


TEXT: Check = ("a text", lambda value: isinstance(value, str) and value != "")
NAME: Check = ("a text", lambda value: isinstance(value, str))
NUMBER: Check = ("a finite number", is_number)
AMOUNT: Check = ("a number, 0 or more", lambda value: is_number(value) and value >= 0)
COUNT: Check = ("a whole number, 0 or more", _is_count)
DENSITY: Check = ("a number above 0, at most 1", lambda value: is_number(value) and 0 < value <= 1)
SHARE: Check = ("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
LIST: Check = ("a list", lambda value: isinstance(value, list))
ROWS: Check = ("a list, not empty", lambda value: isinstance(value, list) and value != [])
TRUTH: Check = ("true or false", lambda value: isinstance(value, bool))
COUNTS: Check = (
    "whole numbers by name",
    lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
)
MAPPING: Check = ("a mapping", lambda value: isinstance(value, dict))
HISTOGRAM: Check = (
    "at least two whole numbers",
    lambda value: isinstance(value, list) and len(value) > 1 and all(map(_is_count, value)),
)


def read(
    path: Path | str, wanted: Mapping[str, Check], more: Mapping[str, Check] | None = None
) -> dict[str, Any]:
    """A mapping with some keys, and perhaps others (or null there), each of its kind.

    Args:
        path: the file.
        wanted: what each key has to be.
        more: what others have to be, where they are there.

    Raises:
        PruningError: as of :func:`pruning.files.read_json`; or naming the file and the key.
    """
    told = read_json(path)
    if not isinstance(told, dict):
        raise PruningError(f"{path} holds {_shown(told)} instead of keys and values. {AGAIN}")
    require(path, told, wanted)
    require(path, told, {k: check for k, check in (more or {}).items() if told.get(k) is not None})
    return told


def require(path: Path | str, told: Any, wanted: Mapping[str, Check], where: str = "") -> None:
    """Refuse values that lack a key, or have another kind of value there.

    Raises:
        PruningError: naming the file and the key.
    """
    if not isinstance(told, dict):
        raise wrong(path, where, told, MAPPING[0])
    for key, (name, holds) in wanted.items():
        if key not in told:
            raise PruningError(
                f"{path} does not say `{where}{key}`: it is of an older version or another kind of "
                f"file. {AGAIN}"
            )
        if not holds(told[key]):
            raise wrong(path, where + key, told[key], name)


def wrong(path: Path | str, key: str, value: Any, wanted: str) -> PruningError:
    """The error for a value that is not of its kind."""
    return PruningError(
        f"{path}: `{key}` is {_shown(value)}, where {wanted} is expected. {AGAIN} If it says the "
        "same again, the training went wrong: look at its log."
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
