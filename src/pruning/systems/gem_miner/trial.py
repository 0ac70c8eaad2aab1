"""Searches and trainings of what they find, set up before anything trains."""

from dataclasses import replace

from pruning.stages.trial import Trial
from pruning.study.study import Study
from pruning.systems.gem_miner.method import search
from pruning.systems.gem_miner.section import Cell, GemMiner
from pruning.systems.gem_miner.states import found_masks
from pruning.training.recipe import Recipe


def try_out(study: Study, trial: Trial) -> None:
    """Set up the sparsest search of each method, and the trainings by recipes of their own.

    Args:
        study: with a section ``gem_miner``.
        trial: of the study.
    """
    part = study.part("gem_miner")
    for cell in {cell.method: cell for cell in part.searched()}.values():
        _try_search(part, cell, trial)
    for cell in part.cells:
        recipe = part.recipe(cell, study.task["recipe"])
        drawn = part.variant(cell).initialization or part.initialization
        trial.training(f"gem_miner: {cell.method}: finetune", recipe, initialization=drawn)


def _try_search(part: GemMiner, cell: Cell, trial: Trial) -> None:
    recipe = part.settings[cell.method].search
    trial.training(f"gem_miner: {cell.method}: search", recipe, initialization=part.initialization)
    with trial.about(f"gem_miner: {cell.method}"):
        task = trial.task(recipe, initialization=part.initialization)
        found = search(
            task,
            task.initial_state(trial.seed, "gem_miner"),
            part.search(cell),
            recipe=Recipe.from_dict(recipe),
            seed=trial.seed,
            steps=0,
        )
        options = part.pruning(replace(cell, variant=part.found_by(cell).variant))
        del options["kind"]
        found_masks(task, found.state, **options)
