"""Checking a recipe as a study file has it, before anything is trained. No torch here."""

import math
from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.data.batching import Batching
from pruning.errors import PruningError
from pruning.training.schedules import StepDecay


def check_recipe(recipe: Mapping[str, Any], where: str = "recipe") -> None:
    """Refuse a recipe that cannot be carried out.

    Args:
        recipe: plain values, checked against the schema before.
        where: its key in the study file, for messages.

    Raises:
        PruningError: an unknown optimizer, numbers that are not finite, an impossible schedule or
            way to batch.
    """
    registry.entry("optimizer", recipe["optimizer"]["name"])
    numbers = (recipe["epochs"], *recipe["schedule"]["milestones"])
    if not all(map(math.isfinite, numbers)):
        raise PruningError(f"{where}: epochs and milestones must be finite numbers: {numbers}.")
    StepDecay(**recipe["schedule"])  # says what is wrong with it
    Batching.from_dict(recipe["batches"])  # likewise
