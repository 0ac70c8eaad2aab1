"""Stage: mask + initial state -> the winning ticket, trained."""

from pathlib import Path

from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, mask_facts, resume_file, spent, write_training
from pruning.training.checkpoint import load_masks, load_state
from pruning.training.pruned import train_pruned


def ticket(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str,
    pruned_summary: Path | str,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    epochs: float,
) -> None:
    """Train the initial weights under a mask with the study's recipe (Ding et al. 2019, table 4).

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: found in a trained network; its metadata lies beside it.
        state: the initial state of the dense training.
        pruned_summary: of the network that the mask was found in, for costs.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide its data order.
        epochs: of the training, for the summary.
    """
    output = Path(output)
    cell = (method, variant, f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask, "state": state}
    config = context.config(stage="ticket", cell=list(cell))
    resume = resume_file(output, config, parents)
    trained = train_pruned(
        task,
        load_masks(mask),
        load_state(state),
        seed=context.seed,
        stream=cell,
        resume=resume,
    )
    pruned = mask_facts(mask)
    summary = {
        **context.facts(task),
        "method": method,
        "variant": variant,
        "level": level,
        **pruned,
        "retrain_time": epochs,
        **spent(task, trained.steps, pruned["macs"], pruned_summary),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
