"""Train a network under a mask and write what that left: what many stages of wings are."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pruning.models.cost import network_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import (
    final_scores,
    mask_facts,
    resume_file,
    spent,
    write_training,
)
from pruning.training.checkpoint import load_masks, load_state
from pruning.training.evaluate import evaluate_splits
from pruning.training.network import network_of
from pruning.training.pruned import train_pruned
from pruning.training.state import State
from pruning.training.task import Task


def train_under_mask(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str | None,
    output: Path | str,
    *,
    stream: tuple[str, ...],
    cell: Mapping[str, Any],
    schedule: str = "whole",
    fresh_scale: float = 1.0,
    parent_summary: Path | str | None = None,
    score_start: bool = False,
) -> None:
    """Train under a mask; write state, metrics and summary into a folder.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks; what their pruning decided lies beside them.
        state: where weights come from; None draws them anew.
        output: folder to write.
        stream: names the training; with the seed it decides its random draws.
        cell: what the summary says of it: ``method``, ``level``, and as far as they apply
            ``variant``, ``retrain_time`` and ``pruned_at``. The latter is the epoch of the dense
            training whose weights were pruned; what the dense training has cost up to there is part
            of what the network has cost. What it says goes before what the context says.
        schedule: ``whole`` or ``rest``, see :func:`pruning.training.pruned.train_pruned`.
        fresh_scale: what the prunable weights are multiplied by if they are drawn anew.
        parent_summary: of the training that was pruned, for costs, where it is not the dense one.
        score_start: whether to write down scores before the training too, as ``start_<metric>``.

    Raises:
        PruningError: a file is missing or damaged, masks do not fit, or no step is left to train.
    """
    output = Path(output)
    task = context.load_task(data, "/".join(stream))
    parents = {"data": data, "mask": mask}
    if state is not None:
        parents["state"] = state
    config = context.config(
        stage="under_mask", cell=list(stream), schedule=schedule, fresh_scale=fresh_scale
    )
    resume = resume_file(output, config, parents)
    masks = load_masks(mask)
    if state is None:
        start = _scaled(task, task.initial_state(context.seed, *stream), fresh_scale)
    else:
        start = load_state(state)
    trained = train_pruned(
        task,
        masks,
        start,
        schedule=schedule,
        seed=context.seed,
        stream=stream,
        resume=resume,
    )
    pruned = mask_facts(mask)
    costs = spent(task, trained.steps, pruned["macs"], parent_summary)
    if cell.get("pruned_at") and not context.given:
        dense = _dense_until(task, cell["pruned_at"])
        costs = {key: costs[key] + dense[key] for key in costs}
    summary = {
        **context.facts(task),
        **cell,
        **pruned,
        **costs,
        "scores": final_scores(trained),
    }
    if score_start:
        _add_start(summary["scores"], task, start.masked(masks))
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()


def _scaled(task: Task, state: State, scale: float) -> State:
    weights = {name: state.weights[name] * scale for name in task.prunable()}
    return replace(state, weights={**state.weights, **weights})


def _add_start(scores: dict[str, dict[str, float]], task: Task, start: State) -> None:
    module = network_of(task, start).to(task.device)
    for split, values in evaluate_splits(module, task).items():
        scores[split] |= {f"start_{name}": value for name, value in values.items()}


def _dense_until(task: Task, epoch: float) -> dict[str, int]:
    """What the dense training has cost after so many epochs."""
    left = round(task.recipe.epochs - epoch, 6)
    steps = task.timeline.rewind_step(left) if left else task.timeline.total_steps
    dense = sum(network_macs(task.build(), task.example()).values())
    return spent(task, steps, dense)
