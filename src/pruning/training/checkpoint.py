"""States on disk: one safetensors file, and a readable JSON file beside it. No pickle, ever."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pruning.errors import PruningError
from pruning.files import atomic_path, digest, sha256, write_json
from pruning.masks import mask as masking
from pruning.training.state import State

FORMAT = "pruning-state-1"
_MASKS, _TENSORS = "pruning-masks-1", "pruning-tensors-1"
_GROUPS = ("weights", "buffers", "slots", "masks", "generators", "shape")


def save_state(state: State, path: Path | str) -> None:
    """Write a state atomically. The same state gives the same bytes.

    Tensors are named ``weights/...``, ``buffers/...``, ``slots/...``, ``masks/...``,
    ``generators/...``, ``shape/...`` and ``step``.
    """
    tensors = {
        f"{group}/{name}": tensor.contiguous()
        for group in _GROUPS
        for name, tensor in getattr(state, group).items()
    }
    tensors["step"] = torch.tensor(state.step)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT})


def load_state(path: Path | str) -> State:
    """Read a state.

    Raises:
        PruningError: the file is missing, truncated, or no state of this project.
    """
    tensors = _load(path, FORMAT, "state")
    step = int(tensors.pop("step"))
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups[group][name] = tensor
    return State(step=step, **groups)


def save_masks(masks: Mapping[str, Tensor], path: Path | str) -> None:
    """Write masks atomically, as boolean tensors named after their weights.

    Raises:
        PruningError: a tensor that is no mask, see :func:`pruning.masks.mask.taken`.
    """
    _save(masking.taken(masks), path, _MASKS)


def load_masks(path: Path | str) -> dict[str, Tensor]:
    """Read masks: those of :func:`save_masks`, or any tensors of 0 and 1 in a safetensors file.

    Raises:
        PruningError: as of :func:`load_state`; or tensors that are no masks.
    """
    try:
        return masking.taken(_load(path, _MASKS, "mask", foreign=True))
    except PruningError as error:
        raise error if str(path) in str(error) else PruningError(f"{path}: {error}") from None


def save_tensors(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Write tensors of any names and kinds atomically, or none."""
    _save(tensors, path, _TENSORS)


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """Read what :func:`save_tensors` wrote. Raises like :func:`load_state`."""
    return _load(path, _TENSORS, "tensor")


def _save(tensors: Mapping[str, Tensor], path: Path | str, kind: str) -> None:
    with atomic_path(path) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata={"format": kind},
        )


def _load(path: Path | str, expected: str, kind: str, foreign: bool = False) -> dict[str, Tensor]:
    """The tensors of a file of a kind; ``foreign``: or of one that is of no kind of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise PruningError(f"The {kind} file {path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise PruningError(
            f"The {kind} file {path} is truncated or damaged, or no safetensors ({error}). Where a "
            "run made it, delete it; the next run makes it again from the stage before."
        ) from None
    if foreign and tensors and not str(found).startswith("pruning-"):
        return tensors
    if found != expected:
        raise PruningError(
            f"{path} is not a {kind} file of this project: its format is {found!r}, not "
            f"{expected!r}. Delete it, or name another file."
        )
    return tensors


def write_metadata(
    path: Path | str,
    *,
    config: Mapping[str, Any],
    parents: Mapping[str, Path | str],
    **facts: Any,
) -> None:
    """Write the readable JSON beside a state or mask.

    Args:
        path: where to.
        config: everything that decided the numbers; recorded with its hash.
        parents: input files by role; recorded with their SHA-256.
        facts: what else a reader may want (step, density, ...).
    """
    write_json(
        path,
        {
            **facts,
            "config_hash": digest(config),
            "config": config,
            "parents": {
                role: {"path": str(parent), "sha256": sha256(parent)}
                for role, parent in parents.items()
            },
            "versions": versions(),
            "git_commit": git_commit(),
        },
    )


@cache
def versions() -> dict[str, str]:
    """Versions of what computes."""
    import numpy
    import safetensors

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "safetensors": safetensors.__version__,
    }


@cache
def git_commit() -> str | None:
    """The commit of the source tree, with ``+changes`` if it differs; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        # No optional locks: jobs must not get in the way of a commit made meanwhile.
        git = ["git", "--no-optional-locks", "-C", str(folder)]
        run = [*git, "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+changes"]
        return subprocess.run(run, capture_output=True, encoding="utf-8", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
