"""A recipe of a study file, checked and completed before anything is trained. No torch here."""

from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.training.recipe import Recipe

# What optimizers call by these names, a recipe says elsewhere.
ELSEWHERE = {
    "lr": "schedule.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "bias_rate": "optimizer.bias_rate",
    "decay_exclude": "optimizer.decay_exclude",
}


def complete_recipe(recipe: Mapping[str, Any], where: str = "recipe") -> dict[str, Any]:
    """A recipe with what it leaves out, as :class:`pruning.training.recipe.Recipe` has it.

    Args:
        recipe: plain values, checked against the schema before.
        where: its key in the study file, for messages.

    Raises:
        PruningError: an unknown optimizer, or an option of it that is a key of the recipe; an
            impossible schedule or way to batch.
    """
    for option, key in ELSEWHERE.items():
        if option in recipe.get("optimizer", {}).get("options", {}):
            raise PruningError(
                f"{where}.optimizer.options has {option!r}, which is said by {where}.{key}. Take "
                "it out of the options."
            )
    try:
        completed = Recipe.from_dict(recipe).to_dict()
    except PruningError as error:  # its parts say what is wrong with them, but not whose they are
        raise PruningError(f"{where}: {error}") from None
    optimizer = completed["optimizer"]
    optimizer["name"] = registry.reference("optimizer", optimizer["name"])
    return completed
