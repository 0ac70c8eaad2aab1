"""Stage: state + mask + rule -> state."""

from pathlib import Path

from pruning import masks as masking
from pruning.methods.retraining_rules import Rule
from pruning.methods.rewinding import retrain as retrain_pruned
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, steps_so_far, write_training
from pruning.training.checkpoint import load_masks, load_state


def retrain(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    parent: Path | str,
    output: Path | str,
    *,
    rewind: Path | str | None,
    rule: dict[str, str],
    method: str,
    mode: str,
    level: int,
    retrain_time: float,
    density: float,
    data_order: str = "fresh",
) -> None:
    """Retrain a pruned network and write state, metrics and summary into a folder.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks of this level.
        parent: folder of the training that was pruned.
        output: folder to write.
        rewind: the dense state at the rewind step, where the rule takes tensors from it.
        rule: the method's row of the re-training table.
        method, mode, level: name the cell; with the seed they decide its random draws.
        retrain_time: epochs.
        density: nominal, for the record; the mask decides.
        data_order: ``fresh`` or ``rewound``.
    """
    output, parent = Path(output), Path(parent)
    cell = (mode, method, f"t{retrain_time:g}", f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask, "final": parent / "state.safetensors"}
    if rewind is not None:
        parents["rewind"] = rewind
    config = context.config(
        stage="retrain", cell=list(cell), rule=rule, density=density, data_order=data_order
    )
    resume = resume_file(output, config, parents)
    masks = load_masks(mask)
    trained = retrain_pruned(
        task,
        Rule(**rule),
        masks=masks,
        retrain_time=retrain_time,
        final=load_state(parents["final"]),
        rewind=load_state(rewind) if rewind is not None else None,
        seed=context.seed,
        stream=cell,
        data_order=data_order,
        resume=resume,
    )
    summary = {
        "network": context.task["network"]["name"],
        "data": task.data.record,
        "seed": context.seed,
        "method": method,
        "variant": mode,
        "level": level,
        "density": density,
        "kept": masking.counts(masks)[0],
        "retrain_time": retrain_time,
        "training_steps": steps_so_far(parent / "summary.json") + trained.steps,
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
