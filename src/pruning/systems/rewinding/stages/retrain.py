"""Stage: state + mask + rule -> state."""

from pathlib import Path

from pruning.stages.context import StageContext
from pruning.stages.masked import read_mask
from pruning.stages.outputs import (
    final_scores,
    resume_file,
    spent,
    write_training,
)
from pruning.systems.rewinding.method import retrain as retrain_pruned
from pruning.systems.rewinding.rules import Rule
from pruning.training.checkpoint import load_state


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
    data_order: str = "fresh",
) -> None:
    """Retrain a pruned network and write state, metrics and summary into a folder.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks of this level; their metadata lies beside them.
        parent: folder of the training that was pruned.
        output: folder to write.
        rewind: the dense state at the rewind step, where the rule takes tensors from it.
        rule: the method's row of the re-training table.
        method, mode, level: name the cell; with the seed they decide its random draws.
        retrain_time: epochs.
        data_order: ``fresh`` or ``rewound``.
    """
    output, parent = Path(output), Path(parent)
    cell = (mode, method, f"t{retrain_time:g}", f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask, "final": parent / "state.safetensors"}
    if rewind is not None:
        parents["rewind"] = rewind
    config = context.config(stage="retrain", cell=list(cell), rule=rule, data_order=data_order)
    resume = resume_file(output, config, parents)
    masks, pruned = read_mask(task, mask, cut_from=parents["final"])
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
        **context.facts(task),
        "method": method,
        "variant": mode,
        "level": level,
        **pruned,
        "retrain_time": retrain_time,
        **spent(task, trained.steps, pruned["macs"], parent / "summary.json"),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
