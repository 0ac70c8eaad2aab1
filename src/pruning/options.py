"""What a function or class that a study names takes, read from its source: nothing is imported.

So that a misspelled option, or a text where a number belongs, is refused before anything runs. What
the source does not tell (decorated functions, names imported from elsewhere, ``**options``, other
annotations than plain ones) is left to the job.
"""

import ast
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pruning.errors import PruningError, unknown

TYPES = "pruning.option_types"
NUMBER = "(YAML takes 5e-4 for a text, so write 5.0e-4; and all within --config is a text)"

# What values of one annotation are, for messages, and which are such; see `pruning.option_types`.
Kind = tuple[str, Callable[[Any], bool]]


def whole(value: Any) -> Any:
    """64.0 as 64; what is no whole number, or is too large for a float to be exact, as it is."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if is_whole else value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


PLAIN: dict[str, Kind] = {
    "int": ("a whole number", _is_int),
    "float": ("a number", _is_number),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "None": ("null", lambda value: value is None),
}
RANGES: dict[str, Kind] = {
    "BelowOne": ("a number of at least 0 and less than 1", lambda v: _is_number(v) and 0 <= v < 1),
    "Positive": ("a number greater than 0", lambda v: _is_number(v) and v > 0),
    "Count": ("a whole number of at least 1", lambda v: _is_int(v) and v >= 1),
}
SEQUENCES = ("Sequence", "Iterable", "Collection", "list", "List", "tuple", "Tuple")


@dataclass(frozen=True)
class Parameter:
    """One argument of a function.

    Attributes:
        name: of the argument.
        annotation: as written, or None.
        required: whether it has no default.
        optional: whether its default is None, which it then takes whatever its annotation says.
    """

    name: str
    annotation: ast.expr | None
    required: bool
    optional: bool


@dataclass(frozen=True)
class Signature:
    """What a function takes, or a class's ``__init__`` after ``self``.

    Attributes:
        parameters: in the order of the source.
        open: whether it takes others too, by ``**options``.
        ranges: which names of :mod:`pruning.option_types` its file has imported, by local name.
    """

    parameters: tuple[Parameter, ...]
    open: bool
    ranges: Mapping[str, str]


def signature(tree: ast.Module, attribute: str) -> Signature | None:
    """What the function or class of this name takes; None where the source does not tell."""
    found = _function(tree.body, attribute)
    if found is None:
        return None
    function, bound = found
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(positional, defaults, strict=True)][bound:]
    pairs += zip(given.kwonlyargs, given.kw_defaults, strict=True)
    parameters = tuple(
        Parameter(argument.arg, argument.annotation, default is None, _is_none(default))
        for argument, default in pairs
    )
    imported = (n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == TYPES)
    ranges = {a.asname or a.name: a.name for node in imported for a in node.names}
    return Signature(parameters, given.kwarg is not None, ranges)


def checked(
    told: Signature | None, options: Mapping[str, Any], what: str, where: str, leading: int
) -> dict[str, Any]:
    """Options as a function takes them; whole numbers that are written as 64.0 become 64.

    Args:
        told: what it takes; with None everything is left to the job.
        options: as a study gives them.
        what: it takes them, for messages: "network 'mlp'".
        where: their key in the study, for messages.
        leading: how many arguments it is given besides, before them.

    Raises:
        PruningError: an option that there is not, with the nearest name; one that is missing; a
            value of another type or outside its range.
    """
    if told is None:
        return dict(options)
    given, own = told.parameters[:leading], {p.name: p for p in told.parameters[leading:]}
    for name in options:
        if name not in own and (not told.open or name in {p.name for p in given}):
            raise PruningError(f"{where}: {unknown(f'option of the {what}', name, own)}")
    for parameter in own.values():
        if parameter.required and parameter.name not in options:
            raise PruningError(f"{where}: the {what} needs the option {parameter.name!r}.")
    return {
        name: _checked(own[name], value, told.ranges, what, f"{where}.{name}")
        if name in own
        else value
        for name, value in options.items()
    }


def _checked(
    parameter: Parameter, value: Any, ranges: Mapping[str, str], what: str, key: str
) -> Any:
    if parameter.optional and value is None:
        return value
    found = _fitting(parameter.annotation, value, ranges)
    if isinstance(found, _Wrong):
        hint = f" {NUMBER}" if isinstance(value, str) and _reads_as_number(value) else ""
        raise PruningError(f"{key} is {value!r}; the {what} takes {found.wanted}{hint}.")
    return found


@dataclass(frozen=True)
class _Wrong:
    """That a value is not of an annotation, and what it should be."""

    wanted: str


def _fitting(annotation: ast.expr | None, value: Any, ranges: Mapping[str, str]) -> Any:
    """The value as the annotation has it, or what is wrong; anything fits what is not plain."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return value
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return _of_kind(PLAIN["None"], value)
    if isinstance(annotation, ast.Name):
        kind = RANGES.get(ranges.get(annotation.id, ""), PLAIN.get(annotation.id))
        return value if kind is None else _of_kind(kind, value)
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _any_of((annotation.left, annotation.right), value, ranges)
    if isinstance(annotation, ast.Subscript):
        name = getattr(annotation.value, "attr", getattr(annotation.value, "id", ""))
        inner = annotation.slice
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if name == "Optional":
            return _any_of((inner, ast.Constant(None)), value, ranges)
        if name == "Union":
            return _any_of(parts, value, ranges)
        if name == "Literal":
            return _one_of(parts, value)
        if name in SEQUENCES:
            return _sequence(name, parts, value, ranges)
    return value


def _of_kind(kind: Kind, value: Any) -> Any:
    wanted, fits = kind
    for candidate in (value, whole(value)):
        if fits(candidate):
            return candidate
    return _Wrong(wanted)


def _any_of(annotations: Iterable[ast.expr], value: Any, ranges: Mapping[str, str]) -> Any:
    wrong = []
    for annotation in annotations:
        found = _fitting(annotation, value, ranges)
        if not isinstance(found, _Wrong):
            return found
        wrong.append(found.wanted)
    return _Wrong(" or ".join(wrong))


def _one_of(parts: Iterable[ast.expr], value: Any) -> Any:
    try:
        allowed = [ast.literal_eval(part) for part in parts]
    except ValueError:
        return value
    fits = any(value == a and isinstance(value, bool) == isinstance(a, bool) for a in allowed)
    return value if fits else _Wrong(" or ".join(map(repr, allowed)))


def _sequence(name: str, parts: list[ast.expr], value: Any, ranges: Mapping[str, str]) -> Any:
    fixed = name in ("tuple", "Tuple") and not (
        len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is ...
    )
    if not isinstance(value, list | tuple):
        return _Wrong("a list")
    if fixed and len(value) != len(parts):
        return _Wrong(f"a list of {len(parts)}")
    annotations = parts if fixed else [parts[0]] * len(value)
    found = [_fitting(a, part, ranges) for a, part in zip(annotations, value, strict=True)]
    for part in found:
        if isinstance(part, _Wrong):
            return _Wrong(f"a list, each entry {part.wanted}")
    return type(value)(found)


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_none(default: ast.expr | None) -> bool:
    return isinstance(default, ast.Constant) and default.value is None


def _function(body: list[ast.stmt], name: str) -> tuple[ast.FunctionDef, int] | None:
    """The function behind a name, and how many of its first arguments are bound."""
    bindings = [node for node in body if name in _bound(node)]
    if len(bindings) != 1:  # none here, or one of several that only running the file decides
        return None
    node = bindings[0]
    if isinstance(node, ast.FunctionDef):
        return None if node.decorator_list else (node, 0)
    if isinstance(node, ast.ClassDef):
        made = None if node.decorator_list else _constructor(node, body)
        return None if made is None else (made, 1)
    value = node.value if isinstance(node, ast.Assign) else None
    if isinstance(value, ast.Name):
        return _function(body[: body.index(node)], value.id)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        maker = _function(body[: body.index(node)], value.func.id)
        return None if maker is None or maker[1] else _returned(maker[0])
    return None


def _returned(maker: ast.FunctionDef) -> tuple[ast.FunctionDef, int] | None:
    """The function that a function of this file defines and returns."""
    last = maker.body[-1]
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Name):
        return _function(maker.body[:-1], last.value.id)
    return None


def _constructor(node: ast.ClassDef, body: list[ast.stmt]) -> ast.FunctionDef | None:
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return None if part.decorator_list else part
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    for other in body:
        if isinstance(other, ast.ClassDef) and other.name in bases and other is not node:
            return _constructor(other, body[: body.index(other)])
    return None


def _bound(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds, also below `if` and `try`, where it is of none of the above."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    else:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id
            elif isinstance(part, ast.FunctionDef | ast.ClassDef):
                yield part.name
