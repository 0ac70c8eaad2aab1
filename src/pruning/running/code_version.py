"""A version of the code that decides a stage's numbers.

Snakemake reruns a job when its parameters change, but not when a package that its script imports
does. So every rule carries the version computed here as a parameter: a hash over the syntax trees
of the modules the stage imports, directly or not. Trees have no comments and no layout, and
docstrings are left out, so rewording reruns nothing, and a change of what is computed does rerun.

Modules that only name things (:mod:`pruning.registry`) declare ``CODE_VERSION_SKIP`` and are
passed over, with what they import; what a stage looks up there is versioned as an extra entry.

The script that calls the stage has a version of its own, a parameter too (:func:`script_version`).

Entries from outside the package (see :mod:`pruning.extensions`) are named by their file, as
``path.py:attribute``, or by an installed module. What they import of this package, of their file's
own folder or of their own package is covered too.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pruning.errors import PruningError
from pruning.files import sha256

PACKAGE = "pruning"
ROOT = Path(__file__).parents[1]


@cache  # asked for by every job of a run
def code_version(*entries: str, root: Path = ROOT) -> str:
    """Hash of everything that ``entries`` import from this package, or from beside them.

    Args:
        entries: module names, or ``module:attribute`` as registries have them; of a package whose
            code is not looked into, ``package==version``.
        root: folder of the package.

    Raises:
        FileNotFoundError: an entry that is no module.
        PruningError: a file from outside the package that is not Python.
    """
    covered = modules(*entries, root=root)
    lines = [f"{name} {_inspect(name, root)[0]}" for name in covered]
    text = "\n".join(lines + sorted(entries))  # two attributes of one module are two entries
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@cache
def script_version(path: Path | str) -> str:
    """Hash of what a rule's script says, without what it imports: the stage's version covers that.

    Args:
        path: of the script. Of one in another language every byte counts.

    Raises:
        PruningError: it cannot be read, or is not Python.
    """
    path = Path(path)
    if path.suffix == ".py":
        return _hash(parse(path, str(path)))[:12]
    try:
        return sha256(path)[:12]
    except OSError as error:
        raise PruningError(f"The script {path} cannot be read ({error.strerror}).") from None


def modules(*entries: str, root: Path = ROOT) -> list[str]:
    """The modules that :func:`code_version` covers, sorted."""
    todo = [entry.rpartition(":")[0] or entry for entry in entries if "==" not in entry]
    seen = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        _, imports, skipped = _inspect(name, root)
        if not skipped:
            seen.add(name)
            todo.extend(_followed(name, imports, root))
    return sorted(seen)


def is_own(name: str) -> bool:
    """Whether a module is one of this package."""
    return name == PACKAGE or name.startswith(PACKAGE + ".")


def source(name: str) -> Path | None:
    """The file of a module, which is not imported: a path that ends in .py, or a dotted name."""
    if is_own(name):
        return _file(name, ROOT)
    if name.endswith(".py"):
        return Path(name) if Path(name).is_file() else None
    return _installed(name)


def top_folder(path: Path) -> Path:
    """The folder that a file's imports start from: the first above it that is no package."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def dotted(path: Path) -> str:
    """The name by which files beside it import a file."""
    parts = path.with_suffix("").relative_to(top_folder(path)).parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path, shown: str) -> ast.Module:
    """The syntax tree of somebody's file.

    Args:
        path: the file.
        shown: how messages call it.

    Raises:
        PruningError: it cannot be read, or is not Python; the message names the line.
    """
    try:
        return ast.parse(path.read_bytes(), str(path))
    except OSError as error:
        raise PruningError(f"{shown} cannot be read ({error.strerror}).") from None
    except SyntaxError as error:
        raise PruningError(f"{shown}, line {error.lineno}: {error.msg}.") from None
    except ValueError as error:  # null bytes
        raise PruningError(f"{shown} is not Python: {error}.") from None


def _followed(name: str, imports: Iterable[str], root: Path) -> Iterator[str]:
    """Which modules of these imports decide numbers too: ours, and those beside the file."""
    for imported in imports:
        if is_own(imported):
            if _file(imported, root) is not None:
                yield imported
        elif name.endswith(".py"):
            beside = _in_folder(top_folder(Path(name)), imported)
            if beside is not None:
                yield beside.as_posix()
        elif imported.partition(".")[0] == name.partition(".")[0] and _installed(imported):
            yield imported


def _in_folder(folder: Path, name: str) -> Path | None:
    path = folder.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _installed(name: str) -> Path | None:
    """The file of an installed module; not even its package is imported."""
    top, _, rest = name.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    found = (_in_folder(Path(f), rest) for f in spec.submodule_search_locations or ())
    return next(filter(None, found), None)


def _file(name: str, root: Path) -> Path | None:
    if not is_own(name):
        return None
    path = root.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and path != root:
            return candidate
    return None


@cache
def _inspect(name: str, root: Path) -> tuple[str, tuple[str, ...], bool]:
    """(hash of the tree or "" if skipped, imported names, skipped)."""
    path = _file(name, root) if is_own(name) else source(name)
    if path is None:
        raise FileNotFoundError(f"{name} is no module of {PACKAGE}, no file and not installed")
    if not is_own(name):
        tree = parse(path, name)
        imports = tuple(sorted(_imports(tree, dotted(path), path.stem == "__init__")))
        return _hash(tree), imports, False  # who declares a skip there would not be covered at all
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if any(_declares_skip(node) for node in tree.body):
        return "", (), True
    imports = tuple(sorted(_imports(tree)))
    return _hash(tree), imports, False


def _hash(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(_without_docstrings(tree)).encode()).hexdigest()


def _declares_skip(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "CODE_VERSION_SKIP" for target in node.targets
    )


def _imports(tree: ast.AST, module: str = "", is_package: bool = False) -> Iterator[str]:
    """Names that a tree imports; ``module``, where it is from outside, may import relatively."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not module:
                raise ValueError("relative imports hide what a stage depends on: name the module")
            above = module.split(".")[: None if is_package else -1] if node.level else []
            above = above[: len(above) - max(node.level - 1, 0)]
            name = ".".join([*above, *([node.module] if node.module else [])])
            if name:
                yield name
            # "from pruning import masks" names a module, not an attribute.
            yield from (f"{name}.{alias.name}".lstrip(".") for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:]
    return tree
