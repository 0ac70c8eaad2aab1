"""Code from outside this package: networks, scores, ... in somebody's own file or package.

A file, named under ``extensions`` in config/config.yaml, declares tables as
:mod:`pruning.registry` does, plain dict literals at its top level::

    NETWORKS = {"my_net": "MyNet"}

Values name an attribute of the file, or ``module:attribute``. An installed package declares an
entry point of the group ``pruning.extensions`` for the module that has the tables.

Reading a study executes nobody's code and imports no torch: tables are read from the source. Where
the code runs, in a job, its errors become one sentence that names its file and line.
"""

import ast
import difflib
import functools
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pruning.errors import PruningError
from pruning.running.code_version import dotted, is_own, modules, parse, source, top_folder

GROUP = "pruning.extensions"

_LOADED: dict[str, str] = {}  # files whose code runs here, and how messages call them


@dataclass(frozen=True)
class _Line:
    """A line of somebody's table."""

    kind: str
    name: str
    reference: str
    where: str


def read(
    paths: Iterable[str],
    tables: Mapping[str, str],
    taken: Mapping[str, Mapping[str, str]],
    taken_by: str,
) -> dict[str, dict[str, str]]:
    """The names that files and installed packages declare: references by name, by kind.

    Args:
        paths: Python files, relative to the working directory.
        tables: what a table is called in the source, and its kind.
        taken: built-in names by kind.
        taken_by: the file that has those.

    Raises:
        PruningError: a missing file, no Python, no table, a table that is no literal, a value that
            names nothing, a name that is taken: with file and line.
    """
    found: dict[tuple[str, str], _Line] = {}
    for line in _all_lines(paths, tables):
        if line.name in taken[line.kind]:
            raise PruningError(
                f"{line.where}: the {line.kind} {line.name!r} is also in {taken_by}. Rename it."
            )
        other = found.setdefault((line.kind, line.name), line)
        if other.reference != line.reference:  # a package may be found twice on sys.path
            raise PruningError(
                f"{line.where}: the {line.kind} {line.name!r} is also in {other.where}. Rename one."
            )
    named: dict[str, dict[str, str]] = {}
    for line in found.values():
        named.setdefault(line.kind, {})[line.name] = line.reference
    return named


def check(reference: str, where: str = "") -> None:
    """Refuse a reference to what does not exist; nothing is imported.

    Args:
        reference: ``path.py:attribute`` or ``module:attribute``.
        where: what names it, for messages.

    Raises:
        PruningError: no such file or module, no Python, no such attribute.
    """
    module, _, attribute = reference.rpartition(":")
    where = f"{where}: " if where else ""
    path = source(module)
    if path is None:
        reason = (
            f"there is no file {module} in {Path.cwd()}"
            if module.endswith(".py")
            else f"no module {module!r} is installed"
        )
        raise PruningError(f"{where}{reference!r} names nothing: {reason}.")
    tree = parse(path, shown(path))
    for node in ast.walk(tree) if module.endswith(".py") else ():
        if isinstance(node, ast.ImportFrom) and node.level:
            raise PruningError(
                f"{shown(path)}, line {node.lineno}: a single file cannot import relatively. Name "
                "the file beside it without dots."
            )
    defined = _defined(tree.body)
    if attribute not in defined and "*" not in defined:
        near = difflib.get_close_matches(attribute, sorted(defined), n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise PruningError(f"{where}{shown(path)} defines no {attribute!r}.{hint}")


def load(reference: str, callable_only: bool = True) -> Any:
    """Import what a reference names; errors of its calls name its file and line.

    Args:
        reference: ``path.py:attribute`` or ``module:attribute``.
        callable_only: refuse what is neither a function nor a class.

    Raises:
        PruningError: it does not exist, or its import fails.
    """
    module, _, attribute = reference.rpartition(":")
    check(reference)
    path = source(module)
    beside = [name for name in modules(module) if not is_own(name)]
    _LOADED.update((str(source(name).resolve()), shown(source(name))) for name in beside)
    imported = _imported(module, path)
    _check_neighbours(module, beside)
    if not hasattr(imported, attribute):
        raise PruningError(f"{shown(path)} has no {attribute!r} once it is imported.")
    found = getattr(imported, attribute)
    if not callable(found) and not callable_only:
        return found
    if not callable(found):
        raise PruningError(f"{attribute!r} of {shown(path)} is neither a function nor a class.")
    return _guarded(found, f"{attribute!r} of {shown(path)}")


def explained(error: BaseException) -> PruningError | None:
    """The one sentence for an error of the user's, or raised in, or under, code from outside.

    Returns:
        A PruningError itself; None for other errors where no such code was running.
    """
    if isinstance(error, PruningError):
        return error
    if isinstance(error, SyntaxError) and (file := _LOADED.get(str(error.filename))):
        return PruningError(f"{file}, line {error.lineno}: {error.msg}.")
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if file := _LOADED.get(frame.filename):
            inside = "" if frame.name == "<module>" else f" in {frame.name}"
            text = " ".join(str(error).split()).rstrip(".")
            what = f"{type(error).__name__}: {text}" if text else type(error).__name__
            return PruningError(f"{file}, line {frame.lineno}{inside}: {what}.")
    return None


def shown(path: Path) -> str:
    """A path as messages have it: relative to the working directory if it lies there."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _all_lines(paths: Iterable[str], tables: Mapping[str, str]) -> Iterator[_Line]:
    for path in paths:
        file = os.path.normpath(path)
        if not file.endswith(".py") or not Path(file).is_file():
            raise PruningError(
                f"extensions: there is no Python file {path} in {Path.cwd()}. Mend or remove it."
            )
        yield from _lines(file, tables)
    import importlib.metadata  # slow; jobs import this module and ask for no entry point

    for point in importlib.metadata.entry_points(group=GROUP):
        if source(point.module) is None:
            raise PruningError(
                f"The entry point {point.name!r} of the group {GROUP} names the module "
                f"{point.module!r}, which is not installed as Python source."
            )
        yield from _lines(point.module, tables)


def _lines(module: str, tables: Mapping[str, str]) -> Iterator[_Line]:
    path = source(module)
    tree, found = parse(path, shown(path)), False
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        for target in targets:
            if isinstance(target, ast.Name) and target.id in tables:
                found = True
                yield from _rows(module, path, target.id, tables[target.id], node.value)
    if not found:
        raise PruningError(f"{shown(path)} declares no table. Tables: {', '.join(tables)}.")


def _rows(
    module: str, path: Path, table: str, kind: str, value: ast.expr | None
) -> Iterator[_Line]:
    line = getattr(value, "lineno", 1)
    try:
        rows = ast.literal_eval(value)
        plain = all(isinstance(text, str) for row in rows.items() for text in row)
    except (ValueError, TypeError, AttributeError):
        plain = False
    if not plain:
        raise PruningError(
            f"{shown(path)}, line {line}: {table} must be a dict of literal texts, as in "
            '{"my_name": "MyClass"}; it is read without running the file.'
        )
    for key, text in zip(value.keys, value.values, strict=True):
        name, place = ast.literal_eval(key), ast.literal_eval(text)
        where = f"{shown(path)}, line {key.lineno}"
        if not name or ":" in name:
            raise PruningError(f"{where}: {name!r} is no name; a colon makes a reference.")
        reference = _reference(module, path, place)
        check(reference, f"{where}, {table}")
        yield _Line(kind, name, reference, where)


def _reference(module: str, path: Path, place: str) -> str:
    """From a value in a table, which is read where the table is, to a reference."""
    named, _, attribute = place.rpartition(":")
    if not named:
        return f"{module}:{attribute}"
    if module.endswith(".py"):
        folder = top_folder(Path(module))
        beside = named if named.endswith(".py") else f"{named.replace('.', '/')}.py"
        if named.endswith(".py") or (folder / beside).is_file():
            base = path.parent if named.endswith(".py") else folder
            return f"{os.path.normpath(base / beside)}:{attribute}"
    return place


def _defined(body: Iterable[ast.stmt]) -> set[str]:
    """Names that statements bind where they stand, "*" for those of a star import."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(a.asname or a.name.partition(".")[0] for a in node.names)
            continue
        for part in ast.walk(node):  # also below `if` and `try`
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                names.add(part.id)
            elif isinstance(part, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
                names |= _defined([part])
    return names


def _imported(module: str, path: Path) -> ModuleType:
    try:
        return _from_file(path) if module.endswith(".py") else importlib.import_module(module)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise explained(error) or PruningError(
            f"{shown(path)} cannot be imported ({type(error).__name__}: {reason})."
        ) from None


def _from_file(path: Path) -> ModuleType:
    """A module of a name of its own, executed once for each content of its file.

    It is compiled here: a cached .pyc goes by size and whole seconds, and may be of older text.
    """
    file, content = path.resolve(), path.read_bytes()
    digest = hashlib.sha256(str(file).encode() + b"\0" + content).hexdigest()[:16]
    name = f"pruning_extension_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    folder = str(top_folder(file))
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that its files hide no installed module
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, file))
    sys.modules[name] = module
    try:
        exec(compile(content, str(file), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _check_neighbours(module: str, beside: Iterable[str]) -> None:
    """What a file imports from its folder must be what its code version covers."""
    for name in beside if module.endswith(".py") else ():
        if name == module:
            continue
        path = source(name)
        there = getattr(sys.modules.get(dotted(path)), "__file__", None)
        if there and Path(there).resolve() != path.resolve():
            raise PruningError(
                f"{shown(source(module))} imports {dotted(path)!r}, which is {there} here and not "
                f"{shown(path)}. Rename that file."
            )


def _guarded(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function, updated=())  # keeps the signature, which says what options there are
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Exception as error:
            raise explained(error) or PruningError(
                f"{what} cannot be called: {' '.join(str(error).split()).rstrip('.')}."
            ) from None

    return call
