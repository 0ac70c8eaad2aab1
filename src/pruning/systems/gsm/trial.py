"""Trainings by GSM, set up before anything trains."""

from pruning.stages.trial import Trial
from pruning.study.study import Study
from pruning.systems.gsm.section import UNMODIFIED
from pruning.systems.gsm.training import train_gsm
from pruning.training.recipe import Recipe


def try_out(study: Study, trial: Trial) -> None:
    """Set a training of each variant up, at the sparsest level.

    Args:
        study: with a section ``gsm``.
        trial: of the study.
    """
    part = study.part("gsm")
    for variant in (UNMODIFIED, *part.ablations):
        recipe = part.training_recipe(variant, part.levels[-1])
        where = "gsm.recipe" if variant == UNMODIFIED else f"gsm.ablations.{variant}"
        trial.training(where, recipe)
        with trial.about(where):
            task = trial.task()
            state = task.initial_state(trial.seed, "dense")
            train_gsm(task, state, Recipe.from_dict(recipe), seed=trial.seed, steps=0)
