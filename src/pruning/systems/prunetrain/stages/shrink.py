"""Stage: data -> a network that shrank while it trained."""

from pathlib import Path
from typing import Any

from torch import nn

from pruning.files import write_csv
from pruning.models.cost import network_macs, training_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, spent_since, table_csv, write_training
from pruning.systems.prunetrain.method import Settings, train_prunetrain
from pruning.systems.prunetrain.records import (
    FILTER,
    channel_rows,
    filter_rows,
    layer_rows,
    second_rows,
)
from pruning.training.checkpoint import load_state
from pruning.training.loop import Trained
from pruning.training.network import network_of
from pruning.training.task import Task


def shrink(
    context: StageContext,
    data: Path | str,
    dense: Path | str | None,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    recipe: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    """Train with group lasso and cut out what dies; write state, metrics, summary and tables.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        dense: final state of the dense training, where it begins with that; its summary lies beside
            it.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide its data order.
        recipe: how it trains.
        settings: see :class:`pruning.systems.prunetrain.method.Settings`.
    """
    output, how = Path(output), Settings.from_dict(settings)
    cell = ("prunetrain", method, f"level{level}")
    own = context.changed(recipe)
    task = own.load_task(data, "/".join(cell))
    parents = {"data": data}
    if dense is not None:
        parents["state"] = dense
    config = own.config(stage="shrink", cell=list(cell), settings=settings)
    resume = resume_file(output, config, parents)
    initial = task.initial_state(context.seed, "dense")  # as the dense training's
    state = initial if dense is None else load_state(parents["state"])
    result = train_prunetrain(
        task, state, how, initial=initial, seed=context.seed, stream=cell, resume=resume
    )
    before, after = task.build(), network_of(task, result.trained.state)
    summary = {
        **context.facts(task),
        "method": method,
        "variant": variant,
        "level": level,
        "ratio": how.ratio,
        "strength": result.start.strength,
        "initial_loss": result.start.loss,
        "initial_penalty": result.start.value,
        "bound": result.start.bound,
        "threshold": how.threshold,
        **shape_facts(task, before, after),
        "retrain_time": task.recipe.epochs,
        "training_time": context.task["recipe"]["epochs"],
        **_spent(task, result.trained, dense),
        "scores": final_scores(result.trained),
    }
    example = task.example()
    write_csv(output / "layers.csv", table_csv(layer_rows(before, after, example)))
    write_csv(output / "channels.csv", table_csv(channel_rows(result)))
    write_csv(output / "filters.csv", table_csv(filter_rows(result), FILTER))
    write_csv(output / "seconds.csv", table_csv(list(second_rows(result))))
    write_training(result.trained, output, config=config, parents=parents, summary=summary)
    resume.discard()


def shape_facts(task: Task, before: nn.Module, after: nn.Module) -> dict[str, Any]:
    """What summaries say of a network that has lost channels: nothing of it is masked.

    Args:
        task: names the prunable weights.
        before: the network as built.
        after: in the shape that it has.
    """
    weights = [dict(module.named_parameters()) for module in (before, after)]
    names = task.prunable()
    whole, left = (sum(w[n].numel() for n in names if n in w) for w in weights)
    return {
        "density": left / whole,
        "mask_density": left / whole,
        "effective_density": left / whole,
        "macs": sum(network_macs(after, task.example()).values()),
        "parameters": sum(p.numel() for p in after.parameters()),
    }


def _spent(task: Task, trained: Trained, dense: Path | str | None) -> dict[str, int]:
    """Steps and MACs of this training, each epoch by the network it trained, and before it."""
    macs, last = 0, 0.0
    per_epoch = task.examples_seen(task.timeline.steps_per_epoch)
    for row in trained.metrics:
        examples = (row["epoch"] - last) * per_epoch
        macs += training_macs(row["inference_macs"], examples)
        last = row["epoch"]
    parent = None if dense is None else Path(dense).with_name("summary.json")
    return spent_since(parent, trained.steps, macs)
