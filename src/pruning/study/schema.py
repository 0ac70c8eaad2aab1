"""Checking a document against a JSON schema, with messages for people."""

import copy
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError
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


@cache
def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise PruningError(f"The schema {path} cannot be read ({error.strerror}).") from None


def _read(path: Path | str) -> dict[str, Any]:
    import yaml  # here, as jobs import this module and read no configuration

    return yaml.safe_load(_text(Path(path)))


def check_document(
    document: dict[str, Any], schema: Path | str | Mapping[str, Any], where: str
) -> dict[str, Any]:
    """A copy of ``document`` with the schema's defaults filled in.

    Args:
        document: plain values.
        schema: a JSON schema, as plain values or a YAML file.
        where: the file's name, for messages.

    Raises:
        PruningError: the first wrong key: its path, its value and what is allowed. No number may be
            infinite or NaN.
    """
    if not isinstance(document, dict):
        raise PruningError(f"{where} must hold keys and values.")
    validator = _filling_validator()(schema if isinstance(schema, Mapping) else _read(schema))
    filled = copy.deepcopy(document)
    errors = sorted(validator.iter_errors(filled), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise PruningError(f"{where}: {_explain(errors[0])}")
    for key, value in _numbers(filled):
        if not math.isfinite(value):
            raise PruningError(f"{where}: {key} is {value}; numbers must be finite.")
    return filled


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
        "uniqueItems": lambda: "its entries must differ",
        "pattern": lambda: f"it must match {rule}",
    }
    reason = limits[error.validator]() if error.validator in limits else error.message
    if error.validator == "type" and isinstance(value, str) and re.fullmatch(NUMBER, value):
        reason += " (YAML takes 5e-4 for a text: write 5.0e-4)"
    return f"{key} is {value!r}; {reason}."


@cache
def _filling_validator() -> Any:
    """A validator that fills in defaults while it checks."""
    from jsonschema import Draft202012Validator, validators

    check = Draft202012Validator.VALIDATORS["properties"]

    def fill(validator: Any, properties: Any, instance: Any, schema: Any) -> Any:
        if validator.is_type(instance, "object"):
            for key, subschema in properties.items():
                if "default" in subschema:
                    instance.setdefault(key, copy.deepcopy(subschema["default"]))
        yield from check(validator, properties, instance, schema)

    return validators.extend(Draft202012Validator, {"properties": fill})
