"""Stage: state, or other masks -> mask."""

import logging
from pathlib import Path
from typing import Any

from torch import nn

from pruning import registry
from pruning.masks import mask as masking
from pruning.masks.weights import Pruned, score_options
from pruning.models.cost import network_macs
from pruning.models.divisors import refuse_empty
from pruning.stages.context import StageContext
from pruning.training.checkpoint import load_masks, load_state, save_masks, write_metadata
from pruning.training.task import Task

log = logging.getLogger("pruning")


def prune(
    context: StageContext,
    data: Path | str,
    state: Path | str | None,
    output: Path | str,
    *,
    masks: Path | str | None = None,
    level: int,
    chain: str,
    pruning: dict[str, Any],
) -> None:
    """Write the masks of one level, and a JSON file beside them of what trainings ask.

    It has ``density`` as the method counts it, how many weights are ``kept`` of all ``prunable``
    ones and ``mask_density``, their share; ``macs`` of one example; ``score_options``. What else
    masks say of a network is in the report, see :mod:`pruning.stages.report`.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        state: what is pruned; None where the pruner looks at masks alone.
        output: the mask file to write.
        masks: those masks.
        level: number of prunings so far, this one included.
        chain: the sequence of prunings this belongs to; with the seed it decides random scores.
        pruning: ``kind``, a key of :data:`pruning.registry.PRUNERS`, and its options.
    """
    output = Path(output)
    task = context.load_task(data, f"pruning {chain} level {level}")
    options = dict(pruning)
    pruner = registry.find("pruner", options.pop("kind"))
    before = load_masks(masks) if state is None else load_state(state)
    pruned = pruner(task, before, seed=context.seed, purpose=(chain, level), **options)
    config = context.config(stage="prune", level=level, chain=chain, pruning=pruning)
    kernels = _kernels(task, pruned)
    _warn_of_collapse(task, kernels)
    module = task.build()
    refuse_empty(module, pruned.masks, task.name)
    checksum = save_masks(pruned.masks, output)
    write_metadata(
        output.with_suffix(".json"),
        config=config,
        parents={"masks": masks} if state is None else {"state": state},
        tensors=checksum,
        **context.facts(task),
        **_left(task, module, pruned, kernels),
        # Which batch-norm mode, temperature, ... decided it, also where nothing was said.
        score_options=score_options(pruning["score"], pruning.get("score_options", {}))
        if "score" in pruning
        else {},
    )


def _left(task: Task, module: nn.Module, pruned: Pruned, kernels: masking.Masks) -> dict[str, Any]:
    kept, total = masking.counts(kernels)
    return {
        "kept": kept,
        "prunable": total,
        "density": pruned.density,
        "mask_density": kept / total,
        "macs": sum(network_macs(module, task.example(), pruned.remaining).values()),
    }


def _warn_of_collapse(task: Task, kernels: masking.Masks) -> None:
    collapsed = masking.empty(kernels)
    if collapsed:
        log.warning("%s: layer collapse: nothing is left of %s", task.name, ", ".join(collapsed))


def _kernels(task: Task, pruned: Pruned) -> masking.Masks:
    """Masks of the prunable weights: a method may rank more, which no density counts."""
    return {name: pruned.masks[name] for name in task.prunable() if name in pruned.masks}
