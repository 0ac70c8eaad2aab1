"""Names that a study file may use, and the code behind each.

Values are ``module:attribute`` and are imported only when asked for, so that reading a study needs
no torch, and so that a stage's code version (:mod:`pruning.running.code_version`) covers the one
network or score it uses. To add a network, a data set or a score, write it and add its line here.

Code from outside the package needs no line here: a name with a colon is a reference, ``path.py:
attribute`` or ``module:attribute``, or a network of torchvision, ``torchvision:resnet18``;
and :func:`extend` takes names from other people's tables.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pruning import extensions
from pruning.errors import PruningError, look_up
from pruning.options import Signature, checked, signature
from pruning.running.code_version import is_own, parse, source
from pruning.systems import OUTSIDE, systems

# A new line here changes no number of any other entry; the entry used is versioned by itself.
CODE_VERSION_SKIP = "a table of names"

NETWORKS = {
    "lenet_300_100": "pruning.models.lenet:lenet_300_100",
    "lenet_5": "pruning.models.lenet:lenet_5",
    "mlp": "pruning.models.lenet:mlp",
    "mnist_conv": "pruning.models.lenet:mnist_conv",
    "alexnet": "pruning.models.alexnet:alexnet",
    "small_cnn": "pruning.models.small:small_cnn",
    "resnet8": "pruning.models.resnet:resnet8",
    "resnet20": "pruning.models.resnet:resnet20",
    "resnet32": "pruning.models.resnet:resnet32",
    "resnet44": "pruning.models.resnet:resnet44",
    "resnet56": "pruning.models.resnet:resnet56",
    "resnet110": "pruning.models.resnet:resnet110",
    "resnet50_bottleneck": "pruning.models.resnet_bottleneck:resnet50_bottleneck",
    "resnet18": "pruning.models.resnet_imagenet:resnet18",
    "resnet34": "pruning.models.resnet_imagenet:resnet34",
    "resnet50": "pruning.models.resnet_imagenet:resnet50",
    "vgg8": "pruning.models.vgg:vgg8",
    "vgg11": "pruning.models.vgg:vgg11",
    "vgg13": "pruning.models.vgg:vgg13",
    "vgg16": "pruning.models.vgg:vgg16",
    "vgg19": "pruning.models.vgg:vgg19",
    "densenet40": "pruning.models.densenet:densenet40",
    "mobilenet": "pruning.models.mobilenet_v1:mobilenet",
    "mobilenet_v2": "pruning.models.mobilenet:mobilenet_v2",
    "wide_resnet28": "pruning.models.wide_resnet:wide_resnet28",
    "gnmt": "pruning.models.gnmt:gnmt",
}

# Packages whose own names are taken as ``package:name``: modules with ``check``, ``builder`` and
# ``version``.
PACKAGES = {"network": {"torchvision": "pruning.models.torchvision_networks"}}

DATASET_KINDS = {
    "digits": "pruning.data.digits:digits",
    "mnist": "pruning.data.torchvision_sets:mnist",
    "fashion_mnist": "pruning.data.torchvision_sets:fashion_mnist",
    "cifar10": "pruning.data.torchvision_sets:cifar10",
    "cifar100": "pruning.data.torchvision_sets:cifar100",
    "tiny_imagenet": "pruning.data.tiny_imagenet:tiny_imagenet",
    "image_folder": "pruning.data.image_folder:image_folder",
    "image_files": "pruning.data.image_files:image_files",
    "imagenet": "pruning.data.imagenet:imagenet",
    "parallel_text": "pruning.data.parallel_text:parallel_text",
    "multi30k": "pruning.data.multi30k:multi30k",
    "parallel_tokens": "pruning.data.parallel_tokens:parallel_tokens",
    "wmt16_en_de": "pruning.data.wmt16_en_de:wmt16_en_de",
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
    "shuffled": "pruning.masks.shuffled:shuffle_masks",
}

INITIALIZATIONS = {
    "fan_in_truncated_normal": "pruning.models.initialization:fan_in_truncated_normal",
    "fan_in_truncated_normal_zero_last_scale": (
        "pruning.models.initialization:fan_in_truncated_normal_zero_last_scale"
    ),
    "kaiming_normal": "pruning.models.initialization:kaiming_normal",
    "kaiming_normal_fan_out": "pruning.models.initialization:kaiming_normal_fan_out",
    "kaiming_normal_uniform_scale": "pruning.models.initialization:kaiming_normal_uniform_scale",
    "kaiming_uniform": "pruning.models.initialization:kaiming_uniform",
    "normal_std_01": "pruning.models.initialization:normal_std_01",
    "signed_constant": "pruning.models.initialization:signed_constant",
    "uniform_01": "pruning.models.initialization:uniform_01",
    "uniform_02": "pruning.models.initialization:uniform_02",
    "unsigned_constant": "pruning.models.initialization:unsigned_constant",
    "xavier_normal": "pruning.models.initialization:xavier_normal",
    "xavier_uniform": "pruning.models.initialization:xavier_uniform",
    "xavier_uniform_uniform_scale": "pruning.models.initialization:xavier_uniform_uniform_scale",
}

TASK_KINDS = {
    "classification": "pruning.training.classification:from_values",
    "translation": "pruning.training.translation:from_values",
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

METRICS = {
    "accuracy": "pruning.training.metric:ACCURACY",
    "bleu": "pruning.training.metric:BLEU",
}

SYSTEMS: dict[str, str] = {}  # those of this package are in pruning.systems

# Each table: what it is called, also in an extension, and what it has entries of.
_NAMED_TABLES = (
    ("NETWORKS", "network", NETWORKS),
    ("DATASET_KINDS", "data set kind", DATASET_KINDS),
    ("TASK_KINDS", "task kind", TASK_KINDS),
    ("SCORES", "score", SCORES),
    ("PRUNERS", "pruner", PRUNERS),
    ("INITIALIZATIONS", "initialization", INITIALIZATIONS),
    ("OPTIMIZERS", "optimizer", OPTIMIZERS),
    ("THRESHOLD_RULES", "threshold rule", THRESHOLD_RULES),
    ("METRICS", "metric", METRICS),
    ("SYSTEMS", "system", SYSTEMS),
)
TABLE_NAMES = {name: kind for name, kind, _ in _NAMED_TABLES}
_TABLES = {kind: table for _, kind, table in _NAMED_TABLES}

# How many arguments an entry is called with before its options.
LEADING = {"network": 2, "data set kind": 2, "score": 1, "optimizer": 1}

_EXTENDED: dict[str, dict[str, str]] = {}

# Tells jobs which metrics are from outside, ``name=reference`` a line: they read a metric's name in
# a table, where everything else from outside is a parameter that says whose code it is.
_OUTSIDE_METRICS = "PRUNING_METRICS"


def extend(paths: Iterable[str]) -> None:
    """Take names from outside the package, in place of those taken before.

    Args:
        paths: Python files; installed packages that declare the entry point add theirs.

    Raises:
        PruningError: see :func:`pruning.extensions.read`; a system from outside adds a name that is
            taken.
    """
    os.environ.pop(OUTSIDE, None)  # else names that were taken before would be built in
    systems.cache_clear()
    taken = {kind: _built_in(kind) for kind in _TABLES}
    named = extensions.read(paths, TABLE_NAMES, taken, _shown(Path(__file__)))
    _EXTENDED.clear()
    _EXTENDED.update(named)
    os.environ[OUTSIDE] = "\n".join(named.get("system", {}).values())
    metrics = named.get("metric", {}).items()
    os.environ[_OUTSIDE_METRICS] = "\n".join(f"{name}={place}" for name, place in metrics)
    systems.cache_clear()
    for system in systems() if "system" in named else ():
        for kind, entries in system.entries.items():
            for name in entries:
                owners = (taken[kind].get(name), named.get(kind, {}).get(name))
                if any(owner not in (None, entries[name]) for owner in owners):
                    raise PruningError(
                        f"The system {system.name} adds the {kind} {name!r}, which is taken. "
                        "Rename it."
                    )


def _built_in(kind: str) -> dict[str, str]:
    """The names of one kind, with those that systems add."""
    found = dict(_TABLES[kind])
    for system in systems():
        found |= system.entries.get(kind, {})
    return found


def _table(kind: str) -> dict[str, str]:
    told = os.environ.get(_OUTSIDE_METRICS, "").splitlines() if kind == "metric" else []
    outside = dict(line.split("=", 1) for line in told)
    return {**_EXTENDED.get(kind, {}), **outside, **_built_in(kind)}


def known(kind: str) -> list[str]:
    """The names of one kind ("network", "score", ...)."""
    return sorted(_table(kind))


def reference(kind: str, name: str) -> str:
    """What a stage is told instead of a name: a built-in name itself, else where the code is.

    So a job needs no table of an extension, and its parameters say whose code they are about.

    Raises:
        PruningError: see :func:`entry`.
    """
    place = entry(kind, name)
    return name if name in _built_in(kind) else place


def entry(kind: str, name: str) -> str:
    """The ``module:attribute`` or ``path.py:attribute`` behind a name.

    Raises:
        PruningError: no such name; the message lists what exists and the nearest match. A
            reference to a file or attribute that does not exist.
    """
    if _in_package(kind, name):
        _package(kind, name).check(name.partition(":")[2])
        return name
    if ":" in name:
        extensions.check(name)
        return name
    return look_up(kind, name, _table(kind))


def is_from_outside(kind: str, name: str) -> bool:
    """Whether the code behind a name is a user's. Raises like :func:`entry`."""
    place = entry(kind, name)
    return not _in_package(kind, name) and not is_own(place.rpartition(":")[0])


def find(kind: str, name: str) -> Callable[..., Any]:
    """Import and return what stands behind a name. Raises like :func:`entry`."""
    place = entry(kind, name)
    if _in_package(kind, name):
        return _package(kind, name).builder(name.partition(":")[2])
    return _load(place, callable_only=True)


def code_entries(kind: str, name: str) -> list[str]:
    """What a code version covers of an entry. Raises like :func:`entry`.

    Of a package's entry the package's version, and the module that calls it.
    """
    place = entry(kind, name)
    if not _in_package(kind, name):
        return [place]
    package, _, attribute = name.partition(":")
    version = _package(kind, name).version()
    return [f"{PACKAGES[kind][package]}:{attribute}", f"{package}=={version}"]


def _in_package(kind: str, name: str) -> bool:
    return ":" in name and name.partition(":")[0] in PACKAGES.get(kind, {})


def _package(kind: str, name: str) -> Any:
    return importlib.import_module(PACKAGES[kind][name.partition(":")[0]])


def options(kind: str, name: str) -> list[str]:
    """What an entry takes after its first argument, from its source: reading imports no torch.

    Of a class, what its ``__init__`` takes after ``self`` and the first.

    Raises:
        PruningError: no such name, or what it names is neither a function nor a class there.
    """
    told = _signature(kind, name)
    if told is None:
        module, _, attribute = entry(kind, name).rpartition(":")
        raise PruningError(
            f"{_shown(source(module))} does not say what {attribute} takes: write a function, or a "
            "class with an __init__ there."
        )
    return [parameter.name for parameter in told.parameters[1:]]


def checked_options(
    kind: str, name: str, given: Mapping[str, Any], where: str, shown: str | None = None
) -> dict[str, Any]:
    """Options for an entry, as it takes them; see :func:`pruning.options.checked`.

    Args:
        kind: of the entry.
        name: of the entry.
        given: the options.
        where: their key in a file, for messages.
        shown: how messages call the entry, where that is not its name.

    Raises:
        PruningError: no such name, or an option that it does not take.
    """
    what = f"{kind} {shown or name!r}"
    return checked(_signature(kind, name), given, what, where, LEADING[kind])


def _signature(kind: str, name: str) -> Signature | None:
    module, _, attribute = entry(kind, name).rpartition(":")
    path = source(module)
    return signature(parse(path, _shown(path)), attribute)


def explained(error: BaseException) -> PruningError | None:
    """The one sentence for an error in code from outside; see :func:`extensions.explained`."""
    return extensions.explained(error)


def load(place: str) -> Any:
    """What stands at ``module:attribute`` or ``path.py:attribute``.

    Raises:
        PruningError: code from outside the package that cannot be imported.
    """
    return _load(place, callable_only=False)


def _load(place: str, *, callable_only: bool) -> Any:
    module, _, attribute = place.rpartition(":")
    if is_own(module):
        return getattr(importlib.import_module(module), attribute)
    return extensions.load(place, callable_only)


def _shown(path: Path) -> str:
    return extensions.shown(path)
