"""Checking a document against a JSON schema, with messages for people."""

import copy
import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError

from pruning.errors import PruningError

NUMBER = r"[+-]?[0-9]+[eE][+-]?[0-9]+"


def check_document(document: dict[str, Any], schema: Path | str, where: str) -> dict[str, Any]:
    """A copy of ``document`` with the schema's defaults filled in.

    Args:
        document: plain values.
        schema: a JSON schema, as YAML.
        where: the file's name, for messages.

    Raises:
        PruningError: the first wrong key: its path, its value and what is allowed.
    """
    if not isinstance(document, dict):
        raise PruningError(f"{where} must hold keys and values.")
    validator = _FillingValidator(yaml.safe_load(Path(schema).read_text()))
    filled = copy.deepcopy(document)
    errors = sorted(validator.iter_errors(filled), key=lambda e: (len(e.path), str(e.path)))
    if errors:
        raise PruningError(f"{where}: {_explain(errors[0])}")
    return filled


def _explain(error: ValidationError) -> str:
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


def _fill_defaults(validator, properties, instance, schema):  # noqa: ANN001, ANN202 - jsonschema's
    if validator.is_type(instance, "object"):
        for key, subschema in properties.items():
            if "default" in subschema:
                instance.setdefault(key, copy.deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_FillingValidator = validators.extend(Draft202012Validator, {"properties": _fill_defaults})
