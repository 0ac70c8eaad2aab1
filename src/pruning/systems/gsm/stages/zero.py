"""Stage: state + mask -> the network with everything else zero, and what that did to it."""

import time
from pathlib import Path
from typing import Any

from pruning.analysis.records import read_summary
from pruning.files import write_csv
from pruning.stages.context import StageContext
from pruning.stages.masked import read_mask
from pruning.stages.outputs import table_csv, write_training
from pruning.systems.gsm.zeroing import histogram
from pruning.training.arithmetic import arithmetic
from pruning.training.checkpoint import load_state
from pruning.training.evaluate import evaluate_splits
from pruning.training.loop import Trained
from pruning.training.network import network_of
from pruning.training.state import State
from pruning.training.task import Task


def zero(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    trained: Path | str,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
) -> None:
    """Set what the mask does not keep to zero, and evaluate before and after.

    Writes what a training writes, with no step made, and ``magnitudes.csv``: a histogram of |w|
    before zeroing.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: what is kept; its metadata lies beside it.
        trained: folder of the training whose final state is pruned.
        output: folder to write.
        method, variant, level: name the cell.
    """
    started = time.perf_counter()
    output, trained = Path(output), Path(trained)
    cell = (method, variant, f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask, "state": trained / "state.safetensors"}
    state = load_state(parents["state"])
    masks, facts = read_mask(task, mask, cut_from=parents["state"])
    zeroed = State(state.weights, state.buffers, step=state.step).masked(masks)
    before, after = _scores(task, state), _scores(task, zeroed)
    row = {"epoch": 0.0, "step": state.step}
    for split in after:
        row |= {f"{split}_{metric}": value for metric, value in after[split].items()}
    pruned = read_summary(trained / "summary.json")
    summary = {
        **context.facts(task),
        "method": method,
        "variant": variant,
        "level": level,
        **facts,
        "retrain_time": 0,
        **{key: pruned[key] for key in ("training_steps", "training_macs")},
        "scores": {
            split: values
            | {f"{metric}_before_zeroing": value for metric, value in before[split].items()}
            for split, values in after.items()
        },
    }
    weights = {name: state.weights[name] for name in masks}
    write_csv(output / "magnitudes.csv", table_csv(histogram(weights, masks)))
    result = Trained(zeroed, [row], {}, 0, time.perf_counter() - started)
    config = context.config(stage="zero", cell=list(cell))
    write_training(result, output, config=config, parents=parents, summary=summary)


def _scores(task: Task, state: State) -> dict[str, Any]:
    module = network_of(task, state)
    with arithmetic(task.recipe.threads, task.recipe.precision):
        return dict(evaluate_splits(module.to(task.device), task))
