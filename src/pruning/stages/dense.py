"""Stages: dense training, and the states of it that rewinding needs."""

import logging
import shutil
from pathlib import Path

from pruning.files import atomic_path
from pruning.models.cost import network_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, spent, write_training
from pruning.stages.saved import dense_from_file
from pruning.training.checkpoint import save_state
from pruning.training.dense import train_dense

log = logging.getLogger("pruning")


def dense(
    context: StageContext, data: Path | str, output: Path | str, retrain_times: tuple[float, ...]
) -> None:
    """Train from initialization, or take the network from the file that the study names.

    Writes ``state.safetensors``, ``state.json``, ``metrics.csv``, ``summary.json``,
    ``timing.json`` and ``rewind/t<time>.safetensors`` into the folder ``output``.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        output: folder to write.
        retrain_times: epochs before the end whose states to keep. They decide no number of the
            training, so they are not part of its fingerprint.
    """
    if context.given:
        dense_from_file(context, data, output)
        return
    output = Path(output)
    task = context.load_task(data, "dense training")
    config = context.config(stage="dense")
    parents = {"data": data}
    resume = resume_file(output, config, parents)
    result = train_dense(task, context.seed, retrain_times, resume=resume)
    (output / "rewind").mkdir(parents=True, exist_ok=True)
    for time, state in result.rewind.items():
        save_state(state, output / "rewind" / f"t{time:g}.safetensors")
    weights = result.final.weights
    macs = network_macs(task.build(), task.example())
    total = sum(macs.values())
    summary = {
        **context.facts(task),
        "prunable": sum(weights[name].numel() for name in task.prunable()),
        "macs": total,
        "macs_by_layer": macs,
        **spent(task, result.trained.steps, total),
        "scores": final_scores(result.trained),
    }
    write_training(result.trained, output, config=config, parents=parents, summary=summary)
    resume.discard()


def rewind_state(
    context: StageContext,
    data: Path | str,
    kept: Path | str | None,
    retrain_time: float,
    output: Path | str,
) -> None:
    """The dense training's state at one rewind step.

    Copied from what the dense stage kept. A retrain time that joined the study afterwards is not
    there: the dense training is then repeated up to that step, which on the CPU gives the same
    bytes, so that nothing that is finished has to be thrown away.

    Args:
        context: study, seed, task; the same as of the dense stage.
        data: the prepared data set.
        kept: the dense stage's ``rewind`` folder. None for the initial state, which is drawn.
        retrain_time: epochs before the end.
        output: the state file to write.
    """
    output = Path(output)
    source = None if kept is None else Path(kept, f"t{retrain_time:g}.safetensors")
    if source is not None and source.exists():
        with atomic_path(output) as temporary:
            shutil.copyfile(source, temporary)
        return
    task = context.load_task(data, f"dense training up to {retrain_time:g} epochs before its end")
    if kept is not None:
        log.info("%s has no state for retrain time %g: repeating the training", kept, retrain_time)
    step = task.timeline.rewind_step(retrain_time)
    config = context.config(stage="dense", up_to=step)
    resume = resume_file(output, config, {"data": data})
    result = train_dense(task, context.seed, (retrain_time,), steps=step, resume=resume)
    save_state(result.rewind[retrain_time], output)
    resume.discard()
