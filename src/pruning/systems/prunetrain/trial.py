"""Trainings that shrink, and those that follow, set up before anything trains."""

from pruning.stages.trial import Trial, few
from pruning.study.study import Study
from pruning.systems.prunetrain.method import Settings, train_prunetrain


def try_out(study: Study, trial: Trial) -> None:
    """Set up a training of each method, and the recipe of those that train on.

    Args:
        study: with a section ``prunetrain``.
        trial: of the study.
    """
    part = study.part("prunetrain")
    trial.training("prunetrain.recipe", part.recipe)
    for cell in {cell.method: cell for cell in part.shrinking()}.values():
        with trial.about(f"prunetrain: {cell.method}"):
            task = few(trial.task(part.recipe))
            state = task.initial_state(trial.seed, "dense")
            how = Settings.from_dict(part.told(cell))
            train_prunetrain(task, state, how, seed=trial.seed, steps=0)
    if part.finetune is not None:
        trial.training("prunetrain.finetune", part.finetune)
