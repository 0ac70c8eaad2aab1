"""Stage: dense network -> the network trained by GSM, before its small weights are zeroed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pruning.models.cost import network_macs
from pruning.stages.context import StageContext
from pruning.stages.outputs import final_scores, resume_file, spent, write_training
from pruning.systems.gsm.training import shrinkage, train_gsm
from pruning.training.checkpoint import load_state
from pruning.training.recipe import Recipe


def gsm(
    context: StageContext,
    data: Path | str,
    dense: Path | str,
    output: Path | str,
    *,
    variant: str,
    level: int,
    recipe: dict[str, Any],
) -> None:
    """Train by GSM; write state, metrics and summary.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        dense: folder of the dense training.
        output: folder to write.
        variant, level: name the cell; with the seed they decide its data order.
        recipe: of this training, density included.
    """
    output, dense = Path(output), Path(dense)
    cell = ("gsm", variant, f"level{level}")
    task = context.load_task(data, "/".join(cell))
    parents = {"data": data, "state": dense / "state.safetensors"}
    config = context.config(stage="gsm", cell=list(cell), recipe=recipe)
    resume = resume_file(output, config, parents)
    how, facts = Recipe.from_dict(recipe), context.facts(task)
    trained = train_gsm(
        task,
        load_state(parents["state"]),
        how,
        seed=context.seed,
        stream=cell,
        resume=resume,
    )
    task = replace(task, recipe=how)
    macs = sum(network_macs(task.build(), task.example()).values())
    options = how.optimizer.options
    summary = {
        **facts,
        "method": "gsm",
        "variant": variant,
        "level": level,
        "density": options["density"],
        "momentum": options.get("momentum", 0.0),
        "reselect": options.get("reselect", True),
        "shrinkage": shrinkage(task.timeline),
        "macs": macs,
        **spent(task, trained.steps, macs, dense / "summary.json"),
        "scores": final_scores(trained),
    }
    write_training(trained, output, config=config, parents=parents, summary=summary)
    resume.discard()
