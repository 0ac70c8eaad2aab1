"""Densities from level to level, as sections of study files give them."""

from collections.abc import Sequence

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
