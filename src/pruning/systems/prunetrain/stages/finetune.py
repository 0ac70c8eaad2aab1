"""Stage: a network that has shrunk -> the same, trained on without a penalty."""

from pathlib import Path
from typing import Any

from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, spent, write_training
from pruning.systems.prunetrain.stages.shrink import shape_facts
from pruning.training.checkpoint import load_state
from pruning.training.loop import Run, train
from pruning.training.network import network_of
from pruning.training.state import State


def finetune(
    context: StageContext,
    data: Path | str,
    shrunk: Path | str,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    recipe: dict[str, Any],
    ratio: float,
) -> None:
    """Train a small network on; write state, metrics and summary.

    The optimizer starts without memory, and the schedule at step 0.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        shrunk: folder of the training that shrank it.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide its data order.
        recipe: how it trains.
        ratio: of the penalty that it shrank under.
    """
    output, shrunk = Path(output), Path(shrunk)
    cell = ("prunetrain", method, variant, f"level{level}")
    own = context.changed(recipe)
    task = own.load_task(data, "/".join(cell))
    parents = {"data": data, "state": shrunk / "state.safetensors"}
    config = own.config(stage="finetune", cell=list(cell))
    resume = resume_file(output, config, parents)
    state = load_state(parents["state"])
    start = State(state.weights, state.buffers, shape=state.shape)
    run = Run(task.timeline.steps_from(), task.timeline.schedule(), context.seed, cell)
    trained = train(task, start, run, resume=resume)
    facts = shape_facts(task, task.build(), network_of(task, trained.state))
    summary = {
        **context.facts(task),
        "method": method,
        "variant": variant,
        "level": level,
        "ratio": ratio,
        **facts,
        "retrain_time": task.recipe.epochs,
        "training_time": context.task["recipe"]["epochs"],
        **spent(task, trained.steps, facts["macs"], shrunk / "summary.json"),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
