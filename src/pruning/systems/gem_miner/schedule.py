"""How many weights are left when: the schedules of the authors' code, in plain arithmetic.

Epochs count from 0; what happens, happens when one is over. The paper's Algorithm 1 has E / T
events where the code, and so this, has floor((E - 1) / T), with which the density is met exactly.
"""

import math

from pruning.errors import PruningError


def events(epochs: int, period: int) -> int:
    """How many times a search of so many epochs freezes weights.

    Afterwards it trains scores for what is left of a period, ``(epochs - 1) % period`` epochs. If
    that is none, the last event comes after the last step.
    """
    return (epochs - 1) // period


def is_event(epoch: int, period: int) -> bool:
    """Whether weights are frozen when this epoch is over."""
    return epoch > 0 and epoch % period == 0


def removed_share(density: float, epochs: int, period: int) -> float:
    """rho, the share of what is left that goes at each event, so that the density is met.

    Args:
        density: to be met, in (0, 1]; 1 removes nothing.
        epochs: E, of the search.
        period: T, epochs between events.

    Raises:
        PruningError: the search is over before the first event.
    """
    if density == 1:
        return 0.0
    if not events(epochs, period):
        raise PruningError(
            f"A search of {epochs} epochs freezes nothing when its period is {period}: search for "
            "longer, or shorten the period."
        )
    return 1 - math.exp(math.log(density) / events(epochs, period))


def removed_count(share: float, left: int) -> int:
    """How many of the weights that are left go at an event, rounded up."""
    return math.ceil(share * left)


def left_after(prunable: int, density: float, epochs: int, period: int) -> list[int]:
    """Weights that are left after each event where no two scores tie."""
    share, left, found = removed_share(density, epochs, period), prunable, []
    for _ in range(events(epochs, period)):
        left -= removed_count(share, left)
        found.append(left)
    return found


def gradual_density(share: float, epoch: int, period: int) -> float:
    """The density of a mask that thins out gradually, after the end of an epoch.

    It begins with 1 - rho, to which the first event changes nothing. The authors' exponent is
    floor((epoch + 1) / T); with events in every epoch (T = 1) that would be one too many to meet
    the density, with any other T it is the same.

    Args:
        share: rho.
        epoch: the last that is over, -1 at the start.
        period: T, epochs between events.
    """
    last = epoch - epoch % period
    return 1 - share if last <= 0 else (1 - share) ** (last // period)


def kept_in_layer(density: float, total: int) -> int:
    """How many of a tensor's ``total`` weights its largest scores keep: what goes is rounded down.

    As in Ramanujan et al.'s code; other counts of this package round to the nearest.
    """
    return total - int((1 - density) * total)


def kept_of_all(density: float, total: int) -> int:
    """How many of all weights the largest scores keep: what goes is rounded up, as at events.

    Raises:
        PruningError: none.
    """
    kept = total - removed_count(1 - density, total)
    if not kept:
        raise PruningError(f"Density {density:g} keeps none of {total} weights: prune less.")
    return kept
