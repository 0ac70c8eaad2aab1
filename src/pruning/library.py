"""Conveniences for notebooks; the workflow's stages do not need them."""

import os
from pathlib import Path
from typing import Any

import torch

from pruning.data.prepare import prepare_file
from pruning.data.sentences import ParallelText, load_text
from pruning.data.sources import find_source, has_changed
from pruning.data.splits import Splits, load
from pruning.data.store import TEXT, opened
from pruning.data.validation import OWN, Validation
from pruning.errors import PruningError
from pruning.files import digest
from pruning.registry import entry
from pruning.running.code_version import code_version
from pruning.study.study import data_root
from pruning.training.arithmetic import arithmetic
from pruning.training.evaluate import evaluate_splits
from pruning.training.network import network_of
from pruning.training.state import State
from pruning.training.task import Task


def load_data(
    kind: str,
    validation: Validation | str | None = None,
    device: str | torch.device = "cpu",
    root: Path | str | None = None,
    refresh: bool = False,
    **options: Any,
) -> Splits | ParallelText:
    """A data set by kind ("digits", "multi30k", ...), prepared on first use and cached.

    It is prepared again when its source files change, and kept when they are deleted.

    Args:
        kind: a key of :data:`pruning.registry.DATASET_KINDS`, or a reference
            ``path.py:attribute``.
        validation: how to split; without it, 20 % of the test images validate. Text has sentences
            of its own for it; of kinds that name files of these, the name.
        device: where images or sentences are kept.
        root: folder with the source files; without it $PRUNING_DATA or ``resources/data``.
        refresh: prepare it again in any case.
        options: what the kind takes besides.

    Raises:
        PruningError: unknown kind, files that are missing or damaged, no such device, no folder
            to cache in, or a way to split text.
    """
    _check_device(device)
    if isinstance(validation, str):
        options, validation = options | {"validation": validation}, None
    options = {k: os.fspath(v) if isinstance(v, os.PathLike) else v for k, v in options.items()}
    root = (Path(root) if root is not None else data_root()).resolve()
    reader = code_version("pruning.data.prepare", entry("data set kind", kind))
    key = digest([kind, options, str(root), reader])
    prepared = _cache() / "pruning" / f"{kind.rpartition(':')[2]}-{key}.safetensors"
    source = find_source(kind, kind, root, options)
    if refresh or not prepared.exists() or has_changed(prepared, source):
        prepare_file(kind, kind, root, options, prepared)
    if opened(prepared)[0]["format"] != TEXT:
        return load(prepared, validation, device)
    if validation is not None and validation.source != OWN:
        raise PruningError(
            f"Text has validation sentences of its own, so {kind!r} is not split: leave "
            "`validation` out."
        )
    return load_text(prepared, device)


def _check_device(device: str | torch.device) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter of a torch without CUDA
        reason = " ".join(str(error).split())
        raise PruningError(
            f'The device {str(device)!r} cannot be used ({reason}). Take device="cpu", or check '
            "the driver and that this torch has CUDA."
        ) from None


def _cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(given) if given else Path.home() / ".cache"
    except RuntimeError:
        raise PruningError(
            "Prepared data sets are cached in the home folder, and there is none. Set "
            "XDG_CACHE_HOME to a folder of yours."
        ) from None


def evaluate(task: Task, state: State) -> dict[str, dict[str, float]]:
    """Scores of a state on the validation and test splits: accuracy (fraction) and loss (nats)
    where images are classified."""
    with arithmetic(task.recipe.threads, task.recipe.precision):
        return dict(evaluate_splits(network_of(task, state).to(task.device), task))
