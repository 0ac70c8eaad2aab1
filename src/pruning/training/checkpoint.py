"""States on disk: one safetensors file, and a readable JSON file beside it. No pickle, ever."""

import contextlib
import json
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

from pruning import seals
from pruning.errors import PruningError
from pruning.files import atomic_path, digest, reading, sha256, write_json
from pruning.masks import mask as masking
from pruning.training.state import State, is_finite

METADATA = "pruning_file"  # the one key of the metadata of what is written here
FORMAT = "pruning-state-1"
_MASKS, _TENSORS = "pruning-masks-1", "pruning-tensors-1"
_GROUPS = ("weights", "buffers", "slots", "masks", "generators", "shape")


def save_state(state: State, path: Path | str) -> str:
    """Write a state atomically. The same state gives the same bytes at the same place.

    Tensors are named ``weights/...``, ``buffers/...``, ``slots/...``, ``masks/...``,
    ``generators/...``, ``shape/...`` and ``step``.

    Returns:
        The checksum of its tensors, see :func:`pruning.seals.content`.

    Raises:
        PruningError: see :func:`pruning.files.writing`.
    """
    tensors = {
        f"{group}/{name}": tensor
        for group in _GROUPS
        for name, tensor in getattr(state, group).items()
    }
    return _save({**tensors, "step": torch.tensor(state.step)}, path, FORMAT)


def load_state(path: Path | str, checksum: str | None = None) -> State:
    """Read a state.

    Args:
        path: the file.
        checksum: of its tensors, where another file says it.

    Raises:
        PruningError: the file is missing, damaged, of another place or no state of this project
            (see :mod:`pruning.seals`), or it holds numbers that are not finite.
    """
    tensors = _load(path, FORMAT, "state", checksum)
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    step = tensors.pop("step", None)
    if step is None or step.dtype != torch.int64 or step.dim():
        raise _wrong(path, "`step` is missing or no whole number")
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        if group not in groups or not name:
            raise _wrong(path, f"a state has no {key!r}")
        if group == "masks" and tensor.dtype != torch.bool:
            raise _wrong(path, f"{key} is {_kind(tensor)}, and masks are bool")
        groups[group][name] = tensor
    for name, mask in groups["masks"].items():
        weight = groups["weights"].get(name)
        if weight is None or weight.shape != mask.shape:
            raise _wrong(path, f"the mask of {name} is of no weight of its shape")
    state = State(step=int(step), **groups, source=str(path))
    _require_finite(state, path)
    return state


def _require_finite(state: State, path: Path | str) -> None:
    """Refuse weights, buffers and slots that are not finite.

    Buffers may be infinite, as masks of attention are by design; whether these are is seen where
    they come into a network, see :func:`pruning.training.state.load_into`.

    Raises:
        PruningError: naming the file, and the first tensor.
    """
    for group in ("weights", "buffers", "slots"):
        for name, tensor in getattr(state, group).items():
            if not is_finite(tensor, infinite=group == "buffers"):
                raise PruningError(
                    f"The state {path} holds numbers that are not finite (NaN or infinite), first "
                    f"in {group}/{name}. The training that it is of went wrong: delete it, lower "
                    "that training's learning rate or lengthen its warm-up, and run it again."
                )


def _wrong(path: Path | str, what: str) -> PruningError:
    return PruningError(f"{path} is not a state of this project: {what}. {seals.AGAIN}")


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def save_masks(masks: Mapping[str, Tensor], path: Path | str) -> str:
    """Write masks atomically, as boolean tensors named after their weights.

    Returns:
        As :func:`save_state`.

    Raises:
        PruningError: a tensor that is no mask, see :func:`pruning.masks.mask.taken`.
    """
    return _save(masking.taken(masks), path, _MASKS)


def load_masks(path: Path | str, checksum: str | None = None) -> dict[str, Tensor]:
    """Read masks: those of :func:`save_masks`, or any tensors of 0 and 1 in a safetensors file.

    Args:
        path: the file.
        checksum: as of :func:`load_state`.

    Raises:
        PruningError: as of :func:`load_state`; or tensors that are no masks.
    """
    try:
        return masking.taken(_load(path, _MASKS, "mask", checksum, foreign=True))
    except PruningError as error:
        raise error if str(path) in str(error) else PruningError(f"{path}: {error}") from None


def save_tensors(tensors: Mapping[str, Tensor], path: Path | str) -> str:
    """Write tensors of any names and kinds atomically, or none. Returns as ``save_state``."""
    return _save(tensors, path, _TENSORS)


def load_tensors(path: Path | str, checksum: str | None = None) -> dict[str, Tensor]:
    """Read what :func:`save_tensors` wrote. As :func:`load_state`."""
    return _load(path, _TENSORS, "tensor", checksum)


def checksum_of(tensors: Mapping[str, Tensor]) -> str:
    """The checksum of tensors on the CPU, see :func:`pruning.seals.content`."""
    return seals.content(
        {
            name: (
                _kind(tensor),
                tuple(tensor.shape),
                tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy(),
            )
            for name, tensor in tensors.items()
        }
    )


def _save(tensors: Mapping[str, Tensor], path: Path | str, kind: str) -> str:
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    checksum = checksum_of(tensors)
    told = seals.sealed({"format": kind, "tensors": checksum}, path)
    with atomic_path(path) as temporary:
        # One metadata key: safetensors does not keep the order of several, and bytes must repeat.
        save_file(tensors, temporary, metadata={METADATA: json.dumps(told)})
    return checksum


def _load(
    path: Path | str,
    expected: str,
    kind: str,
    checksum: str | None = None,
    foreign: bool = False,
) -> dict[str, Tensor]:
    """The tensors of a file of a kind; ``foreign``: or of one that is of no kind of ours."""
    try:
        with reading(path), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except PruningError as error:
        raise PruningError(f"The {kind} file is not there or cannot be read: {error}") from None
    except SafetensorError as error:
        raise PruningError(
            f"The {kind} file {path} is truncated or damaged, or no safetensors ({error}). Where a "
            "run made it, delete it; the next run makes it again from the stage before."
        ) from None
    told = _seal(metadata, path)
    found = told.get("format")
    whose = seals.place(path) is None and checksum is None  # it may be of another program
    if foreign and tensors and whose and not str(found).startswith("pruning-"):
        return tensors
    if found != expected:
        raise PruningError(
            f"{path} is not a {kind} file of this project: its format is {found!r}, not "
            f"{expected!r}. Delete it, or name another file."
        )
    if "tensors" not in told:  # of an older version
        if not whose:
            raise seals.unsealed(path)
        return tensors
    content = checksum_of(tensors)
    if told["tensors"] != content:
        raise seals.changed(path)
    if checksum not in (None, content):
        raise PruningError(
            f"{path} is not the file that was written along with what says what is in it; it was "
            f"replaced by another. {seals.AGAIN}"
        )
    return tensors


def format_of(metadata: Mapping[str, str]) -> str:
    """Which of this project's formats a safetensors file says it has; empty for any other's."""
    if METADATA not in metadata:
        found = metadata.get("format", "")  # of an older version
        return found if found.startswith("pruning-") else ""
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(metadata[METADATA]).get("format"))
    return METADATA


def _seal(metadata: Mapping[str, str], path: Path | str) -> Mapping[str, Any]:
    """What the metadata say; of a file of an older version or another program only its format."""
    if METADATA not in metadata:
        return metadata
    try:
        told = seals.opened(json.loads(metadata[METADATA]), path)
    except (ValueError, RecursionError):
        raise seals.changed(path) from None
    if not isinstance(told, dict) or "tensors" not in told:
        raise seals.changed(path)
    return told


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
                role: {"path": str(parent), "sha256": input_sha256(parent)}
                for role, parent in parents.items()
            },
            "versions": versions(),
            "git_commit": git_commit(),
        },
    )


def input_sha256(path: Path | str) -> str:
    """SHA-256 of a file that a stage reads.

    Raises:
        PruningError: it cannot be read.
    """
    with reading(path):
        return sha256(path)


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
