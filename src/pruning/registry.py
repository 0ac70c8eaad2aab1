"""Names that a study file may use, and the code behind each.

Values are ``module:attribute`` and are imported only when asked for, so that reading a study needs
no torch, and so that a stage's code version (:mod:`pruning.running.code_version`) covers the one
network or score it uses. To add a network, a data set or a score, write it and add its line here.
"""

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pruning.errors import look_up
from pruning.systems import systems

# A new line here changes no number of any other entry; the entry used is versioned by itself.
CODE_VERSION_SKIP = "a table of names"

NETWORKS = {
    "lenet_300_100": "pruning.models.lenet:lenet_300_100",
    "lenet_5": "pruning.models.lenet:lenet_5",
    "mlp": "pruning.models.lenet:mlp",
    "small_cnn": "pruning.models.small:small_cnn",
    "resnet8": "pruning.models.resnet:resnet8",
    "resnet20": "pruning.models.resnet:resnet20",
    "resnet32": "pruning.models.resnet:resnet32",
    "resnet44": "pruning.models.resnet:resnet44",
    "resnet56": "pruning.models.resnet:resnet56",
    "resnet110": "pruning.models.resnet:resnet110",
    "resnet18": "pruning.models.resnet_imagenet:resnet18",
    "resnet34": "pruning.models.resnet_imagenet:resnet34",
    "resnet50": "pruning.models.resnet_imagenet:resnet50",
    "vgg11": "pruning.models.vgg:vgg11",
    "vgg13": "pruning.models.vgg:vgg13",
    "vgg16": "pruning.models.vgg:vgg16",
    "vgg19": "pruning.models.vgg:vgg19",
    "densenet40": "pruning.models.densenet:densenet40",
}

DATASET_KINDS = {
    "digits": "pruning.data.digits:digits",
    "mnist": "pruning.data.torchvision_sets:mnist",
    "fashion_mnist": "pruning.data.torchvision_sets:fashion_mnist",
    "cifar10": "pruning.data.torchvision_sets:cifar10",
    "cifar100": "pruning.data.torchvision_sets:cifar100",
    "tiny_imagenet": "pruning.data.tiny_imagenet:tiny_imagenet",
    "image_folder": "pruning.data.image_folder:image_folder",
}

SCORES = {
    "magnitude": "pruning.scores.magnitude:magnitude",
    "random": "pruning.scores.random:random",
    "snip": "pruning.scores.snip:snip",
    "grasp": "pruning.scores.grasp:grasp",
    "grasp_abs": "pruning.scores.grasp:grasp_abs",
    "synflow": "pruning.scores.synflow:synflow",
}

PRUNERS = {
    "weights": "pruning.masks.weights:prune_weights",
    "filters": "pruning.masks.filters:prune_filters",
}

INITIALIZATIONS = {
    "fan_in_truncated_normal": "pruning.models.initialization:fan_in_truncated_normal",
    "kaiming_normal": "pruning.models.initialization:kaiming_normal",
    "kaiming_normal_uniform_scale": "pruning.models.initialization:kaiming_normal_uniform_scale",
    "normal_std_01": "pruning.models.initialization:normal_std_01",
    "xavier_uniform": "pruning.models.initialization:xavier_uniform",
}

OPTIMIZERS = {
    "sgd": "pruning.training.optimizers:sgd",
    "adam": "pruning.training.optimizers:adam",
}

THRESHOLD_RULES = {
    "openlth": "pruning.masks.threshold_rules:openlth",
    "openlth_highest": "pruning.masks.threshold_rules:openlth_highest",
    "synflow": "pruning.masks.threshold_rules:synflow",
    "grasp": "pruning.masks.threshold_rules:grasp",
}

_TABLES = {
    "network": NETWORKS,
    "data set kind": DATASET_KINDS,
    "score": SCORES,
    "pruner": PRUNERS,
    "initialization": INITIALIZATIONS,
    "optimizer": OPTIMIZERS,
    "threshold rule": THRESHOLD_RULES,
}


def table(kind: str) -> dict[str, str]:
    """The names of one kind ("network", "score", ...), with those that systems add."""
    found = dict(_TABLES[kind])
    for system in systems():
        found |= system.entries.get(kind, {})
    return found


def known(kind: str) -> list[str]:
    """The names of one kind ("network", "score", ...)."""
    return sorted(table(kind))


def entry(kind: str, name: str) -> str:
    """The ``module:attribute`` behind a name.

    Raises:
        PruningError: no such name; the message lists what exists and the nearest match.
    """
    return look_up(kind, name, table(kind))


def find(kind: str, name: str) -> Callable[..., Any]:
    """Import and return what stands behind a name. Raises like :func:`entry`."""
    return load(entry(kind, name))


def options(kind: str, name: str) -> list[str]:
    """What an entry takes after its first argument, from its source: reading imports no torch.

    Raises:
        PruningError: no such name.
    """
    module, attribute = entry(kind, name).split(":")
    source = Path(__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    for node in ast.parse(source.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return [argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs)]
    raise LookupError(f"{source} defines no function {attribute}")


def load(place: str) -> Callable[..., Any]:
    """What stands at ``module:attribute``."""
    module, attribute = place.split(":")
    return getattr(importlib.import_module(module), attribute)
