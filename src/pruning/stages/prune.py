"""Stage: state -> scores -> mask."""

import logging
from pathlib import Path
from typing import Any

from pruning import registry
from pruning.masks.report import report
from pruning.masks.weights import score_options
from pruning.stages.context import StageContext
from pruning.training.checkpoint import load_state, save_masks, write_metadata

log = logging.getLogger("pruning")


def prune(
    context: StageContext,
    data: Path | str,
    state: Path | str,
    output: Path | str,
    *,
    level: int,
    chain: str,
    pruning: dict[str, Any],
) -> None:
    """Write the masks of one level, and a JSON file beside them.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        state: what is pruned.
        output: the mask file to write.
        level: number of prunings so far, this one included.
        chain: the sequence of prunings this belongs to; with the seed it decides random scores.
        pruning: ``kind``, a key of :data:`pruning.registry.PRUNERS`, and its options.
    """
    output = Path(output)
    task = context.load_task(data, f"pruning {chain} level {level}")
    options = dict(pruning)
    pruner = registry.find("pruner", options.pop("kind"))
    state_before = load_state(state)
    pruned = pruner(task, state_before, seed=context.seed, purpose=(chain, level), **options)
    config = context.config(stage="prune", level=level, chain=chain, pruning=pruning)
    found = report(task, pruned)
    if found["collapsed"]:
        log.warning(
            "%s: layer collapse: nothing is left of %s", task.name, ", ".join(found["collapsed"])
        )
    save_masks(pruned.masks, output)
    write_metadata(
        output.with_suffix(".json"),
        config=config,
        parents={"state": state},
        **context.facts(task),
        **found,
        # Which batch-norm mode, temperature, ... decided it, also where nothing was said.
        score_options=score_options(pruning["score"], pruning.get("score_options", {}))
        if "score" in pruning
        else {},
    )
