"""The masks that a stage reads, with what lies beside them."""

from pathlib import Path
from typing import Any

from pruning.analysis.records import read_mask_facts
from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.training.checkpoint import load_masks
from pruning.training.task import Task

# What a summary repeats of the readable file that the pruning left beside its mask.
MASK_FACTS = ("density", "mask_density", "kept", "macs")


def read_mask(
    task: Task, mask: Path | str, metadata: Path | str | None = None
) -> tuple[masking.Masks, dict[str, Any]]:
    """Masks, and :data:`MASK_FACTS` from the readable file beside them.

    Args:
        task: whose network they are of.
        mask: the masks.
        metadata: the readable file, where it is not called after the mask.

    Raises:
        PruningError: a file is missing or damaged, the two do not belong together, or the masks are
            not of the task's network.
    """
    beside = Path(mask).with_suffix(".json") if metadata is None else metadata
    told = read_mask_facts(beside)
    masks = load_masks(mask, told.get("tensors"))
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
