"""Stage: state -> scores -> mask."""

from pathlib import Path
from typing import Any

from pruning import masks as masking
from pruning.methods.selection import prune as select_masks
from pruning.stages.context import StageContext
from pruning.training.checkpoint import load_state, save_masks, write_metadata


def prune(
    context: StageContext,
    data: Path | str,
    state: Path | str,
    output: Path | str,
    *,
    density: float,
    level: int,
    chain: str,
    selection: dict[str, Any],
) -> None:
    """Write the masks of one level, and a JSON file beside them.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        state: what is pruned.
        output: the mask file to write.
        density: fraction kept of all prunable weights.
        level: number of prunings so far, this one included.
        chain: the sequence of prunings this belongs to; with the seed it decides random scores.
        selection: ``score`` and ``scope``.
    """
    output = Path(output)
    task = context.load_task(data, f"pruning {chain} level {level}")
    masks = select_masks(
        task,
        load_state(state),
        density,
        seed=context.seed,
        purpose=(chain, level),
        **selection,
    )
    kept, total = masking.counts(masks)
    config = context.config(stage="prune", density=density, level=level, chain=chain, **selection)
    save_masks(masks, output)
    write_metadata(
        output.with_suffix(".json"),
        config=config,
        parents={"state": state},
        kept=kept,
        prunable=total,
        density=kept / total,
        kept_by_layer={name: int(mask.sum()) for name, mask in masks.items()},
    )
