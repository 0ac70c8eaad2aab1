"""Conveniences for notebooks; the workflow's stages do not need them."""

import os
from pathlib import Path
from typing import Any

import torch

from pruning.data import store
from pruning.data.prepare import prepare
from pruning.data.splits import Splits, load
from pruning.data.validation import Validation
from pruning.files import digest
from pruning.running.code_version import code_version
from pruning.study.study import data_root
from pruning.training.arithmetic import arithmetic
from pruning.training.evaluate import evaluate_splits
from pruning.training.network import network_of
from pruning.training.state import State
from pruning.training.task import Task


def load_data(
    kind: str,
    validation: Validation | None = None,
    device: str | torch.device = "cpu",
    root: Path | str | None = None,
    **options: Any,
) -> Splits:
    """A data set by kind ("digits", "mnist", ...), prepared on first use and cached.

    Args:
        kind: a key of :data:`pruning.registry.DATASET_KINDS`, or a reference
            ``path.py:attribute``.
        validation: how to split; without it, 20 % of the test images validate.
        device: where the images are kept.
        root: folder with the source files; without it $PRUNING_DATA or ``resources/data``.
        options: what the kind takes besides.

    Raises:
        PruningError: unknown kind, or files that are missing or damaged.
    """
    root = Path(root) if root is not None else data_root()
    name = kind if not options else f"{kind}-{digest(options)}"
    if ":" in kind:  # a file of the user's, which may change between two uses
        name = f"{kind.rpartition(':')[2]}-{digest([kind, options, code_version(kind)])}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    prepared = cache / "pruning" / f"{name}.safetensors"
    if not prepared.exists():
        store.save(prepare(kind, kind, root, options), prepared)
    return load(prepared, validation, device)


def evaluate(task: Task, state: State) -> dict[str, dict[str, float]]:
    """Scores of a state on the validation and test splits: accuracy (fraction) and loss (nats)
    where images are classified."""
    with arithmetic(task.recipe.threads, task.recipe.precision):
        return dict(evaluate_splits(network_of(task, state).to(task.device), task))
