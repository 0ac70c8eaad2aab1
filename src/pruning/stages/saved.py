"""Stage: a file of weights -> what a dense training leaves, with nothing trained."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pruning.errors import PruningError
from pruning.files import sha256
from pruning.models.cost import network_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, spent, write_training
from pruning.training.arithmetic import arithmetic
from pruning.training.evaluate import evaluate_splits
from pruning.training.loop import Row, Trained
from pruning.training.network import network_of
from pruning.training.saved import Fitted, Saved, fit, read_saved
from pruning.training.state import State
from pruning.training.task import Task

log = logging.getLogger("pruning")


def dense_from_file(context: StageContext, data: Path | str, output: Path | str) -> None:
    """Take the dense network from the file that the study names.

    Writes what :func:`pruning.stages.dense.dense` writes, ``rewind`` empty: the network as if it
    were at the end of the schedule, the optimizer without memory, one row of metrics, no step and
    no second spent.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        output: folder to write.

    Raises:
        PruningError: see :func:`pruning.training.saved.read_saved` and
            :func:`pruning.training.saved.fit`; the file was changed since the job was planned; or
            the network gives scores that are not finite.
    """
    output = Path(output)
    told = context.task["dense"]
    task = context.load_task(data, f"dense network from {told['from']}")
    state, source = taken(task, told)
    row = measured(task, state, told["from"])
    result = Trained(state, [row], {}, 0, 0.0)
    macs = network_macs(task.build(), task.example())
    summary = {
        **context.facts(task),
        "dense_from": source,
        "prunable": sum(state.weights[name].numel() for name in task.prunable()),
        "macs": sum(macs.values()),
        "macs_by_layer": macs,
        **spent(task, 0, 0),
        "scores": final_scores(result),
    }
    (output / "rewind").mkdir(parents=True, exist_ok=True)
    config, parents = context.config(stage="dense"), {"data": data, "network": told["from"]}
    write_training(result, output, config=config, parents=parents, summary=summary)


def taken(task: Task, told: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
    """The network of a file as a state of the schedule's end, and where it is from.

    Args:
        task: whose network it is of.
        told: ``from``, ``keys`` and, of what was planned, ``sha256``.
    """
    found = sha256(told["from"]) if Path(told["from"]).is_file() else None
    if found is not None and told.get("sha256", found) != found:
        raise PruningError(f"{told['from']} was changed while this run was going on. Run it again.")
    saved = read_saved(told["from"])
    fitted = fit(saved, task.build(), told["keys"], step=task.timeline.total_steps)
    _say(task, saved, fitted)
    source = {
        "file": told["from"],
        "sha256": found,
        "inside": saved.inside,
        "keys": dict(told["keys"]),
        "converted": dict(fitted.converted),
    }
    return fitted.state, source


def measured(task: Task, state: State, path: str) -> Row:
    """The one row of metrics: scores of the network as it is."""
    row: Row = {"epoch": 0.0, "step": state.step}
    with arithmetic(task.recipe.threads):
        scores = evaluate_splits(network_of(task, state).to(task.device), task)
    for split, values in scores.items():
        for metric, value in values.items():
            if task.examples(split) and not float("-inf") < value < float("inf"):
                raise PruningError(
                    f"The network in {path} gives a {split} {metric} of {value}. Are its weights "
                    "of this network, and its buffers (running_var) what they should be?"
                )
            row[f"{split}_{metric}"] = value
    log.info("%s: %s", task.name, ", ".join(f"{name} {row[name]:.4f}" for name in list(row)[2:]))
    return row


def _say(task: Task, saved: Saved, fitted: Fitted) -> None:
    """Write to the log what was not taken as it is, or not at all."""
    place = f"{saved.path}, {saved.inside!r}" if saved.inside else saved.path
    log.info("%s: %d tensors of %s", task.name, len(saved.tensors), place)
    if saved.beside:
        log.info("%s: not read: %s", task.name, ", ".join(saved.beside))
    for kind, count in fitted.converted.items():
        log.warning("%s: %d tensors were %s and are converted", task.name, count, kind)
    if fitted.counted:
        log.info("%s: the file has no counters of batches, so they are 0", task.name)
    weights = [fitted.state.weights[name] for name in task.prunable()]
    total = sum(weight.numel() for weight in weights)
    zeros = total - sum(int(weight.count_nonzero()) for weight in weights)
    if zeros:
        log.warning(
            "%s: %d of %d prunable weights are zero already; they count as weights like the others",
            task.name, zeros, total,
        )  # fmt: skip
