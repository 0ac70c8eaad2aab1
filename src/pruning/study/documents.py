"""Reading YAML: UTF-8 whatever the locale, and no key twice."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError

if TYPE_CHECKING:
    from yaml import MappingNode, Node

DEEPEST = 100  # levels of nesting; also ends what contains itself
LARGEST = 1_000_000  # values, each counted as often as anchors repeat it
MERGE = "tag:yaml.org,2002:merge"


def read_document(path: Path | str) -> Any:
    """What a YAML file holds, as plain values.

    Args:
        path: of a study, a schema or a configuration.

    Raises:
        PruningError: a file that cannot be read, is not UTF-8 or not YAML, or a key that a mapping
            has twice, of which YAML itself takes the last: with line and column.
    """
    import yaml  # here, as jobs import modules that import this one, and read no configuration

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PruningError(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise PruningError(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}. Save it "
            "in that encoding."
        ) from None
    for loader in (getattr(yaml, "CSafeLoader", yaml.SafeLoader), yaml.SafeLoader):
        try:
            return _loaded(loader(text), str(path))
        except yaml.YAMLError as error:
            # libyaml is ten times as fast, but refuses some plain texts with a colon within braces.
            wrong = " ".join(str(error).split())
        except RecursionError:
            raise PruningError(f"{path} is nested too deeply.") from None
        except ValueError as error:  # a number or a date that cannot be
            raise PruningError(f"{path} has a value that cannot be read: {error}.") from None
    raise PruningError(f"{path} is not YAML: {wrong}.")


def check_documents(paths: Iterable[Path | str]) -> None:
    """Refuse what :func:`read_document` refuses, in files that somebody else reads.

    Args:
        paths: of the files; those that there are not are passed over.

    Raises:
        PruningError: see :func:`read_document`.
    """
    for path in paths:
        if Path(path).exists():
            read_document(path)


def _loaded(loader: Any, where: str) -> Any:
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        for mapping in _mappings(node, where):
            _check_keys(mapping, where, loader)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _mappings(node: "Node", where: str) -> Iterator["MappingNode"]:
    """Every mapping in a document, each once, as anchors may name one often."""
    known: dict[int, tuple[int, int]] = {}  # (levels, values) of what is read through

    def walk(node: "Node", depth: int) -> Iterator["MappingNode"]:
        levels, values = known.get(id(node), (0, 0))
        if depth + levels > DEEPEST or values > LARGEST:
            raise PruningError(
                f"{where}, line {node.start_mark.line + 1}: this contains itself, or more than "
                f"{DEEPEST} levels or {LARGEST:,} values."
            )
        if id(node) in known:
            return
        parts: list[Node] = []
        if node.id == "mapping":
            yield node
            parts = [part for pair in node.value for part in pair]
        elif node.id == "sequence":
            parts = node.value
        for part in parts:
            yield from walk(part, depth + 1)
        sizes = [known[id(part)] for part in parts]
        known[id(node)] = (
            1 + max((levels for levels, _ in sizes), default=-1),
            1 + sum(values for _, values in sizes),
        )

    yield from walk(node, 1)


def _check_keys(mapping: "MappingNode", where: str, loader: Any) -> None:
    lines: dict[Any, int] = {}
    for key, _ in mapping.value:
        if key.tag == MERGE or key.id != "scalar":
            continue  # a merge only adds what is not there; lists and mappings are no keys
        name, line = loader.construct_object(key), key.start_mark.line + 1
        if name in lines:
            raise PruningError(
                f"{where}, line {line}: the key {key.value!r} is there twice, first in line "
                f"{lines[name]}. Take one out."
            )
        lines[name] = line
