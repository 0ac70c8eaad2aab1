"""A recipe of a study file, checked and completed before anything is trained. No torch here."""

from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.training.recipe import Recipe
from pruning.training.schedules import Pieces

# What optimizers call by these names, a recipe says elsewhere.
ELSEWHERE = {
    "lr": "schedule.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "bias_rate": "optimizer.bias_rate",
    "decay_exclude": "optimizer.decay_exclude",
}


def complete_recipe(
    recipe: Mapping[str, Any], where: str = "recipe", of: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A recipe with what it leaves out, as :class:`pruning.training.recipe.Recipe` has it.

    Args:
        recipe: plain values, checked against the schema before.
        where: its key in the study file, for messages.
        of: the study's own recipe, completed, where this is one of a section. All trainings of a
            study have as many ``processes``, as that is what its jobs reserve: what says nothing
            has the study's.

    Raises:
        PruningError: an unknown optimizer or option, or one that is a key of the recipe; an
            impossible schedule or way to batch; other processes than the study's.
    """
    if of is not None:
        count = of["processes"]
        if recipe.get("processes", count) != count:
            raise PruningError(
                f"{where}.processes is {recipe['processes']}, and the study's recipe has {count}: "
                "all trainings of a study have the same. Take it out here, or change the other."
            )
        recipe = {**recipe, "processes": count}
    for option, key in ELSEWHERE.items():
        if option in recipe.get("optimizer", {}).get("options", {}):
            raise PruningError(
                f"{where}.optimizer.options has {option!r}, which is said by {where}.{key}. Take "
                "it out of the options."
            )
    try:
        parsed = Recipe.from_dict(recipe)
    except PruningError as error:  # its parts say what is wrong with them, but not whose they are
        raise PruningError(f"{where}: {error}") from None
    _check_ends(parsed, f"{where}.schedule")
    completed = parsed.to_dict()
    optimizer = completed["optimizer"]
    optimizer["options"] = registry.checked_options(
        "optimizer", optimizer["name"], optimizer["options"], f"{where}.optimizer.options"
    )
    optimizer["name"] = registry.reference("optimizer", optimizer["name"])
    return completed


def _check_ends(recipe: Recipe, where: str) -> None:
    """That what a schedule says happens before the training ends.

    Where it is not in epochs of the training, that takes the number of examples: see
    :meth:`pruning.training.recipe.Timeline.schedule`.
    """
    schedule, epochs = recipe.schedule, recipe.epochs
    if recipe.epoch_steps is not None or isinstance(schedule, Pieces):
        return
    if schedule.warmup > epochs:
        raise PruningError(
            f"{where}.warmup is {schedule.warmup:g} epochs, but the recipe has {epochs:g}: the "
            "rate would never have climbed. Shorten it."
        )
    for milestone in getattr(schedule, "milestones", ()):
        if milestone >= epochs:
            raise PruningError(
                f"{where}.milestones has {milestone:g}, but the recipe has {epochs:g} epochs, so "
                "the rate would never drop there. Take it out, or train for longer."
            )
