"""A recipe of a study file, checked and completed before anything is trained. No torch here."""

from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.training.recipe import Recipe


def complete_recipe(recipe: Mapping[str, Any], where: str = "recipe") -> dict[str, Any]:
    """A recipe with what it leaves out, as :class:`pruning.training.recipe.Recipe` has it.

    Args:
        recipe: plain values, checked against the schema before.
        where: its key in the study file, for messages.

    Raises:
        PruningError: an unknown optimizer, an impossible schedule or
            way to batch.
    """
    completed = Recipe.from_dict(recipe).to_dict()  # its parts say what is wrong with them
    optimizer = completed["optimizer"]
    optimizer["name"] = registry.reference("optimizer", optimizer["name"])
    return completed
