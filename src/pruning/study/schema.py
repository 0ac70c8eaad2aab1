"""Checking a document against a JSON schema, with messages for people."""

import copy
import difflib
import functools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError
from pruning.options import whole
from pruning.study.documents import read_document
from pruning.systems import systems

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

NUMBER = r"[+-]?[0-9]+[eE][+-]?[0-9]+"


def study_schema(path: Path | str) -> dict[str, Any]:
    """The JSON schema of a study: what every study has, joined with the sections of all systems.

    Args:
        path: of the schema of every study; the systems' own lie in ``systems/`` beside it, unless a
            system says where its file is. Such a file has ``sections``, by name, and ``figure``,
            what it adds to the options of a study's figures.

    Raises:
        PruningError: a file is missing, or two systems mean different things by one key.
    """
    schema = _read(path)
    for system in systems():
        if not system.sections:
            continue
        file = Path(system.schema or Path(path).parent / "systems" / f"{system.name}.yaml")
        own = _read(file)
        for target, key in (
            (schema["properties"], "sections"),
            (schema["properties"]["figure"]["properties"], "figure"),
        ):
            for name, value in own.get(key, {}).items():
                if name in target:
                    raise PruningError(f"{file}: {key} has {name!r}, which is taken. Rename it.")
                target[name] = value
    return schema


_read_once = cache(read_document)


def _read(path: Path | str) -> dict[str, Any]:
    return copy.deepcopy(_read_once(Path(path)))


def check_document(
    document: dict[str, Any], schema: Path | str | Mapping[str, Any], where: str
) -> dict[str, Any]:
    """A copy of ``document`` with the schema's defaults filled in.

    Whole numbers that are written as 64.0 become 64 where the schema asks for them.

    Args:
        document: plain values.
        schema: a JSON schema, as plain values or a YAML file.
        where: the file's name, for messages.

    Raises:
        PruningError: the first wrong key: its path, its value and what is allowed. No number may be
            infinite or NaN, and every key is a text.
    """
    if not isinstance(document, dict):
        raise PruningError(f"{where} must hold keys and values.")
    validator = _filling_validator()(schema if isinstance(schema, Mapping) else _read(schema))
    filled = copy.deepcopy(document)
    for key, name in _keys(filled):
        if not isinstance(name, str):
            raise PruningError(
                f"{where}: the key {name!r} in {key or 'the file'} is no text to YAML, which reads "
                "yes, no, on, off and numbers as something else. Put it in quotes."
            )
    for key, value in _numbers(filled):
        if not math.isfinite(value):
            raise PruningError(f"{where}: {key} is {value}; numbers must be finite.")
    while errors := list(validator.iter_errors(filled)):
        if not _mend_whole_numbers(filled, errors):
            first = min(errors, key=lambda e: (len(e.path), str(e.path)))
            raise PruningError(f"{where}: {_explain(first)}")
    return filled


def _mend_whole_numbers(document: dict[str, Any], errors: Iterable["ValidationError"]) -> bool:
    """Whether a float is now the whole number that one of these errors asks for."""
    mended = False
    for error in errors:
        kinds = error.validator_value if error.validator == "type" else ()
        if "integer" in ([kinds] if isinstance(kinds, str) else kinds):
            *way, last = error.absolute_path
            place = functools.reduce(lambda part, key: part[key], way, document)
            if place[last] is not (value := whole(place[last])):
                place[last], mended = value, True
        mended = _mend_whole_numbers(document, error.context or ()) or mended
    return mended


def _keys(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a document, and the one that it is under."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict):
                yield key, name
            yield from _keys(part, f"{key}.{name}" if key else str(name))


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a document, and where it stands."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _numbers(part, f"{key}.{name}" if key else str(name))


def _explain(error: "ValidationError") -> str:
    key = ".".join(str(part) for part in error.absolute_path) or "the file"
    value, rule = error.instance, error.validator_value
    if "propertyNames" in error.absolute_schema_path and error.validator == "pattern":
        allowed = error.schema.get("description", f"match {rule}")
        return f"the name {value!r} in {key} must {allowed}. Rename it."
    if error.validator == "additionalProperties":
        allowed = sorted(error.schema.get("properties", {}))
        extra = sorted(map(str, set(value) - set(allowed)))[0]
        near = difflib.get_close_matches(extra, allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"unknown key {extra!r} in {key}.{hint} Allowed: {', '.join(allowed)}."
    if error.validator == "required":
        missing = sorted(set(rule) - set(value))[0]
        return f"{key} lacks the key {missing!r}."
    if error.validator == "enum":
        near = difflib.get_close_matches(str(value), [str(r) for r in rule], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{key} is {value!r}.{hint} Allowed: {', '.join(map(str, rule))}."
    limits = {
        "type": lambda: (
            f"it must be of type {rule if isinstance(rule, str) else ' or '.join(rule)}"
        ),
        "minimum": lambda: f"it must be at least {rule}",
        "maximum": lambda: f"it must be at most {rule}",
        "exclusiveMinimum": lambda: f"it must be greater than {rule}",
        "exclusiveMaximum": lambda: f"it must be less than {rule}",
        "minItems": lambda: f"it needs at least {rule} entries",
        "maxItems": lambda: f"it takes at most {rule} entries",
        "uniqueItems": lambda: "its entries must differ",
        "pattern": lambda: f"it must match {rule}",
    }
    reason = limits[error.validator]() if error.validator in limits else error.message
    if error.validator == "type" and isinstance(value, str) and re.fullmatch(NUMBER, value):
        reason += " (YAML takes 5e-4 for a text: write 5.0e-4)"
    elif error.validator == "type" and isinstance(value, float) and value.is_integer():
        reason += " (a float of this size is not exact: write it without a point)"
    return f"{key} is {value!r}; {reason}."


@cache
def _filling_validator() -> Any:
    """A validator that fills in defaults while it checks, and to which 64.0 is no integer."""
    from jsonschema import Draft202012Validator, validators

    check = Draft202012Validator.VALIDATORS["properties"]

    def fill(validator: Any, properties: Any, instance: Any, schema: Any) -> Any:
        if validator.is_type(instance, "object"):
            for key, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
        yield from check(validator, properties, instance, schema)

    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return validators.extend(Draft202012Validator, {"properties": fill}, type_checker=types)
