"""Networks of torchvision, by the names that it has: ``torchvision:resnet18``.

Their weights are drawn as those of other networks; nothing is downloaded. Torchvision is imported
when a network is built, and its version is part of the code version of what trains one.
"""

import ast
import difflib
import importlib.metadata
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pruning.errors import PruningError

PACKAGE = "torchvision"
CHANNELS = 3  # of the images that all of them take
_NO_OPTIONS = {
    "weights": "nothing is downloaded here, and the initialization draws the weights",
    "pretrained": "nothing is downloaded here, and the initialization draws the weights",
    "num_classes": "the data set says how many there are",
    "progress": "nothing is downloaded here",
}


def builder(name: str) -> Callable[..., Any]:
    """The function that builds a network, as this package calls it.

    Args:
        name: of torchvision's function in ``torchvision.models``.
    """

    def build(shape: tuple[int, int, int], classes: int, **options: Any) -> Any:
        from torchvision import models  # slow, and only these networks need it

        for option, why in _NO_OPTIONS.items():
            if options.get(option) is not None:
                raise PruningError(f"Network {PACKAGE}:{name} takes no `{option}` here: {why}.")
            options.pop(option, None)
        if shape[0] != CHANNELS:
            raise PruningError(
                f"Network {PACKAGE}:{name} takes images of {CHANNELS} channels, and these have "
                f"{shape[0]}. Read them in colour, or build it with another first layer in a file "
                "of your own."
            )
        module = models.get_model(name, weights=None, num_classes=classes, **options)
        if getattr(module, "aux_logits", False):
            raise PruningError(
                f"Network {PACKAGE}:{name} has auxiliary classifiers, which no training here has a "
                "loss for. Give it `options: {aux_logits: false}`."
            )
        return module

    return build


def check(name: str) -> None:
    """Refuse the name of a network that torchvision does not have; nothing is imported.

    Raises:
        PruningError: no such network, or torchvision is not installed.
    """
    if name not in _names():
        near = difflib.get_close_matches(name, _names(), n=1)
        hint = f" Did you mean '{PACKAGE}:{near[0]}'?" if near else ""
        raise PruningError(f"{PACKAGE} has no network {name!r} that classifies images.{hint}")


def version() -> str:
    """Of torchvision, without what it was built for."""
    return importlib.metadata.version(PACKAGE).partition("+")[0]


@cache
def _names() -> tuple[str, ...]:
    """Functions of ``torchvision.models`` that build networks, those of other tasks left out."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise PruningError(f"This network needs {PACKAGE}: `pip install {PACKAGE}`.")
    found = []
    for file in sorted(Path(spec.origin).with_name("models").glob("*.py")):
        for node in ast.parse(file.read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and any(map(_registers, node.decorator_list)):
                found.append(node.name)
    return tuple(found)


def _registers(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and (
        getattr(decorator.func, "id", None) == "register_model"
    )
