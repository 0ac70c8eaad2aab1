"""How fast a weight shrinks that only ever gets passive updates (Ding et al. 2019, Sec. 3.2).

A passive update has no gradient in it, only weight decay and momentum: with momentum beta, learning
rate alpha and weight decay eta

    z <- beta z + eta w;  w <- w - alpha z,  z = 0 at first.

Without z: w_{k+1} = (1 + beta - alpha eta) w_k - beta w_{k-1}, whose two roots say everything. The
larger is about 1 - alpha eta / (1 - beta), which is why momentum is what makes weights vanish.
"""

import math
from bisect import bisect_left

import numpy as np

from pruning.errors import PruningError


def trajectory(
    momentum: float, learning_rate: float, weight_decay: float, steps: int, start: float = 1.0
) -> np.ndarray:
    """The weight before the first and after each of so many passive updates.

    Args:
        momentum: beta, from 0 to below 1.
        learning_rate: alpha.
        weight_decay: eta; alpha eta is above 0 and below 1.
        steps: how many updates.
        start: the weight at first.

    Returns:
        float64 of shape (steps + 1,), by the recurrence itself.

    Raises:
        PruningError: such updates do not shrink a weight.
    """
    _check(momentum, learning_rate * weight_decay)
    return scheduled(momentum, np.full(steps, learning_rate), weight_decay, start=start)


def scheduled(
    momentum: float,
    rates: np.ndarray,
    weight_decay: float,
    *,
    nesterov: bool = False,
    start: float = 1.0,
) -> np.ndarray:
    """As :func:`trajectory`, with a learning rate of each update.

    Args:
        momentum, weight_decay, start: see there.
        rates: alpha of each update, shape (steps,).
        nesterov: whether the step looks ahead: w <- w - alpha (eta w + beta z).
    """
    found = np.empty(len(rates) + 1)
    found[0] = weight = start
    buffer = 0.0
    for step, rate_ in enumerate(rates, start=1):
        decay = weight_decay * weight
        buffer = momentum * buffer + decay
        weight -= rate_ * (decay + momentum * buffer if nesterov else buffer)
        found[step] = weight
    return found


def rate(momentum: float, learning_rate: float, weight_decay: float) -> float:
    """What an update multiplies a weight by in the long run, the larger root.

    Where the roots are complex the weight swings about 0, and this is their modulus.

    Raises:
        PruningError: such updates do not shrink a weight.
    """
    roots = _roots(momentum, learning_rate * weight_decay)
    return math.sqrt(momentum) if roots is None else 1 - roots[0]


def iterations_to(
    threshold: float, momentum: float, learning_rate: float, weight_decay: float
) -> int:
    """Passive updates until the size of a weight is at most so many times what it was at first.

    Args:
        threshold: above 0.
        momentum, learning_rate, weight_decay: see :func:`trajectory`.

    Raises:
        PruningError: such updates do not shrink a weight, or the threshold is not above 0.
    """
    if not threshold > 0:
        raise PruningError(f"A threshold of {threshold:g} is never reached: it must be above 0.")
    roots = _roots(momentum, learning_rate * weight_decay)
    if threshold >= 1:
        return 0
    if roots is None:
        return _simulated(threshold, momentum, learning_rate * weight_decay)
    low, high = roots  # of 1 - root, so that roots next to 1 lose no digits

    def size(steps: int) -> float:
        slow = math.exp((steps + 1) * math.log1p(-low))
        return (high * slow - low * (1 - high) ** (steps + 1)) / (high - low)

    # The size only falls, and never above what the slow root alone leaves.
    last = math.log(threshold * (high - low) / high) / math.log1p(-low)
    return bisect_left(range(max(0, math.ceil(last)) + 1), True, key=lambda k: size(k) <= threshold)


def _roots(momentum: float, decay: float) -> tuple[float, float] | None:
    """1 minus each root, the smaller first; None where they are complex or the same."""
    _check(momentum, decay)
    total = 1 - momentum + decay
    discriminant = total**2 - 4 * decay
    if discriminant <= 0:
        return None
    high = (total + math.sqrt(discriminant)) / 2
    return decay / high, high


def _simulated(threshold: float, momentum: float, decay: float) -> int:
    """Complex roots are at most sqrt(beta) in size, so this ends soon."""
    weight, buffer, steps = 1.0, 0.0, 0
    while abs(weight) > threshold:
        buffer = momentum * buffer + decay * weight
        weight -= buffer
        steps += 1
    return steps


def _check(momentum: float, decay: float) -> None:
    if not 0 <= momentum < 1:
        raise PruningError(f"Momentum {momentum:g} is not from 0 to below 1.")
    if not 0 < decay < 1:
        raise PruningError(
            f"Learning rate times weight decay is {decay:g}; passive updates shrink a weight where "
            "it is above 0 and below 1."
        )
