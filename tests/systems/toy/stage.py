"""Stage: mask + initial state -> a random ticket."""

from pathlib import Path

from pruning.stages.outputs import final_scores, mask_facts, resume_file, spent, write_training
from pruning.training.checkpoint import load_masks, load_state
from pruning.training.pruned import train_pruned

SCHEDULE = "whole"


def train(context, data, mask, state, output, *, level):
    output, cell = Path(output), ("toy", f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "mask": mask, "state": state}
    config = context.config(stage="toy", cell=list(cell))
    resume = resume_file(output, config, parents)
    trained = train_pruned(
        task,
        load_masks(mask),
        load_state(state),
        schedule=SCHEDULE,
        seed=context.seed,
        stream=cell,
        resume=resume,
    )
    pruned = mask_facts(mask)
    summary = {
        **context.facts(task),
        "method": "random_ticket",
        "level": level,
        **pruned,
        **spent(task, trained.steps, pruned["macs"]),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
