"""The masks that a stage reads, with what lies beside them."""

from pathlib import Path
from typing import Any

from pruning.analysis.records import read_mask_facts
from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.training.checkpoint import input_sha256, load_masks
from pruning.training.task import Task

# What a summary repeats of the readable file that the pruning left beside its mask.
MASK_FACTS = ("density", "mask_density", "kept", "macs")


def read_mask(
    task: Task,
    mask: Path | str,
    metadata: Path | str | None = None,
    cut_from: Path | str | None = None,
) -> tuple[masking.Masks, dict[str, Any]]:
    """Masks, and :data:`MASK_FACTS` from the readable file beside them.

    Args:
        task: whose network they are of.
        mask: the masks.
        metadata: the readable file, where it is not called after the mask.
        cut_from: the state that they were cut from, where it is at hand.

    Raises:
        PruningError: a file is missing or damaged, the two do not belong together, or the masks are
            not of the task's network.
    """
    beside = Path(mask).with_suffix(".json") if metadata is None else metadata
    told = read_mask_facts(beside)
    masks = load_masks(mask, told.get("tensors"))
    if cut_from is not None:
        _check_parent(told, mask, cut_from)
    weights = dict(task.build().named_parameters())
    for name, kept in masks.items():
        if name not in weights or weights[name].shape != kept.shape:
            raise PruningError(
                f"{mask} is of another network: {task.name} has no weight {name!r} of shape "
                f"{tuple(kept.shape)}. Delete it; the next run makes it again."
            )
    kept = masking.counts({name: masks[name] for name in task.prunable() if name in masks})[0]
    if kept != told["kept"]:
        raise PruningError(
            f"{mask} keeps {kept} weights, and {Path(mask).with_suffix('.json')} says "
            f"{told['kept']}. Delete both; the next run makes them again."
        )
    return masks, {key: told[key] for key in MASK_FACTS}


def _check_parent(told: dict[str, Any], mask: Path | str, state: Path | str) -> None:
    parents = told.get("parents")
    parent = parents.get("state") if isinstance(parents, dict) else None
    if isinstance(parent, dict) and parent.get("sha256") != input_sha256(state):
        raise PruningError(
            f"{mask} was cut from another state than {state} is now. Delete the mask; the next run "
            "cuts it again."
        )
