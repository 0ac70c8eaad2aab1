"""A version of the code that decides a stage's numbers.

Snakemake reruns a job when its parameters change, but not when a package that its script imports
does. So every rule carries the version computed here as a parameter: a hash over the syntax trees
of the modules the stage imports, directly or not. Trees have no comments and no layout, and
docstrings are left out, so rewording reruns nothing, and a change of what is computed does rerun.

Modules that only name things (:mod:`pruning.registry`) declare ``CODE_VERSION_SKIP`` and are
passed over, with what they import; what a stage looks up there is versioned as an extra entry.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "pruning"
ROOT = Path(__file__).parents[1]


@cache  # asked for by every job of a run
def code_version(*entries: str, root: Path = ROOT) -> str:
    """Hash of everything that ``entries`` import from this package.

    Args:
        entries: module names, or ``module:attribute`` as registries have them.
        root: folder of the package.

    Raises:
        FileNotFoundError: an entry that is no module of the package.
    """
    covered = modules(*entries, root=root)
    lines = [f"{name} {_inspect(name, root)[0]}" for name in covered]
    text = "\n".join(lines + sorted(entries))  # two attributes of one module are two entries
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def modules(*entries: str, root: Path = ROOT) -> list[str]:
    """The modules that :func:`code_version` covers, sorted."""
    todo, seen = [entry.partition(":")[0] for entry in entries], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        _, imports, skipped = _inspect(name, root)
        if not skipped:
            seen.add(name)
            todo.extend(i for i in imports if _file(i, root) is not None)
    return sorted(seen)


def _file(name: str, root: Path) -> Path | None:
    if name != PACKAGE and not name.startswith(PACKAGE + "."):
        return None
    path = root.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and path != root:
            return candidate
    return None


@cache
def _inspect(name: str, root: Path) -> tuple[str, tuple[str, ...], bool]:
    """(hash of the tree or "" if skipped, imported names, skipped)."""
    path = _file(name, root)
    if path is None:
        raise FileNotFoundError(f"{name} is no module of {PACKAGE}")
    tree = ast.parse(path.read_text())
    if any(_declares_skip(node) for node in tree.body):
        return "", (), True
    imports = tuple(sorted(_imports(tree)))
    dump = ast.dump(_without_docstrings(tree))
    return hashlib.sha256(dump.encode()).hexdigest(), imports, False


def _declares_skip(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "CODE_VERSION_SKIP" for target in node.targets
    )


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError("relative imports hide what a stage depends on: name the module")
            yield node.module
            # "from pruning import masks" names a module, not an attribute.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:]
    return tree
