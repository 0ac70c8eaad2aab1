"""Densities from level to level, as sections of study files give them."""

from collections.abc import Mapping, Sequence
from typing import Any

from pruning.errors import PruningError


def check_densities(densities: Sequence[float], section: str) -> None:
    """Refuse densities that no levels could have.

    Args:
        densities: of level 1, 2, ...
        section: of the study file, for messages.

    Raises:
        PruningError: one outside (0, 1], or they do not fall.
    """
    for density in densities:
        if not 0 < density <= 1:
            raise PruningError(
                f"density {density:g} in {section}.densities lies outside (0, 1]: it is the "
                "fraction of weights kept."
            )
    if list(densities) != sorted(set(densities), reverse=True):
        raise PruningError(f"{section}.densities must fall from level to level: {densities}.")


def check_shown_level(options: Mapping[str, Any], key: str, levels: int, what: str) -> None:
    """As :func:`check_shown_levels`, of an option that names one level.

    Args:
        options, key, levels: the same; a study without levels may name the first.
        what: the levels are of, in the plural, for messages.

    Raises:
        PruningError: a level beyond the last.
    """
    if options.get(key, 1) > max(levels, 1):
        raise PruningError(f"figure.{key} is {options[key]}, but the study has {levels} {what}.")


def check_shown_levels(options: Mapping[str, Any], key: str, levels: int) -> None:
    """Refuse an option of a study's figures that names levels which the study does not have.

    Args:
        options: a study's ``figure`` section.
        key: of the option, a list of levels; it may be missing.
        levels: how many there are.

    Raises:
        PruningError: a level beyond the last.
    """
    for level in options.get(key, ()):
        if level > levels:
            raise PruningError(f"figure.{key} names level {level}, but the study has {levels}.")
