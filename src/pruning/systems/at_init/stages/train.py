"""Stage: mask + state -> the network trained under the mask."""

from pathlib import Path

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
from pruning.training.pruned import train_pruned
from pruning.training.task import Task


def at_init(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str | None,
    output: Path | str,
    *,
    method: str,
    variant: str,
    schedule: str,
    epoch: float,
    epochs: float,
    level: int,
) -> None:
    """Train a network pruned at initialization, or later; write state, metrics and summary.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks; their metadata lies beside them.
        state: where weights come from; None draws them anew.
        output: folder to write.
        method, variant, epoch, level: name the cell; with the seed they decide its random draws.
            ``epoch`` of the dense training is the one whose weights were scored.
        schedule: ``whole`` or ``rest``, see :func:`pruning.training.pruned.train_pruned`.
        epochs: how long that takes, for the summary.
    """
    output = Path(output)
    cell = ("at_init", method, variant, f"e{epoch:g}", f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask}
    if state is not None:
        parents["state"] = state
    config = context.config(stage="at_init", cell=list(cell), schedule=schedule)
    resume = resume_file(output, config, parents)
    trained = train_pruned(
        task,
        load_masks(mask),
        None if state is None else load_state(state),
        schedule=schedule,
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
        "pruned_at": epoch,
        "retrain_time": epochs,
        **_spent(task, trained.steps, pruned["macs"], epoch),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()


def _spent(task: Task, steps: int, macs: int, epoch: float) -> dict[str, int]:
    """What the network has cost: the dense training up to the pruning, and its own."""
    own = spent(task, steps, macs)
    if not epoch:
        return own
    left = round(task.recipe.epochs - epoch, 6)
    steps_before = task.timeline.rewind_step(left) if left else task.timeline.total_steps
    dense = sum(network_macs(task.build(), task.example()).values())
    before = spent(task, steps_before, dense)
    return {key: own[key] + before[key] for key in own}
