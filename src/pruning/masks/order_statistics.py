"""The exact k-th largest of many values, without sorting them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

SAMPLE = 20_000  # values that the k-th largest is first looked for among


def kth_largest(
    values: Sequence[Tensor], k: int, allowed: Sequence[Tensor] | None = None
) -> Tensor:
    """The exact k-th largest of all values together, k from 1.

    On a CPU a sample says between which two values it lies, and only what is between them is
    ranked; where the sample misleads, everything is. By NumPy, which picks single entries out of
    large arrays several times as fast as torch.

    Args:
        values: (N,) each, without NaN.
        k: at most as many as there are.
        allowed: (N,) booleans, which values count; all of them without it.

    Returns:
        A tensor of no dimensions, of the type and on the device of the values.
    """
    if values[0].is_cuda:
        flat = torch.cat([v if a is None else v[a] for v, a in _pairs(values, allowed)])
        return flat.topk(k, sorted=False).values.amin()
    pairs = [(_array(v), None if a is None else a.numpy()) for v, a in _pairs(values, allowed)]
    return values[0].new_tensor(_kth_largest(pairs, k))


def count(mask: Tensor) -> int:
    """How many entries of a boolean tensor are true."""
    return int(mask.count_nonzero())  # on a CPU far faster than a sum of booleans


_Pairs = list[tuple[np.ndarray, np.ndarray | None]]


def _kth_largest(pairs: _Pairs, k: int) -> float:
    low, high = _bracket(pairs, k)
    above = 0 if high == math.inf else sum(map(np.count_nonzero, _where(pairs, above=high)))
    near = _taken(pairs, _where(pairs, low, high))
    if not above < k <= above + len(near):  # the sample misled
        above, near = 0, _taken(pairs, [allowed for _, allowed in pairs])
    return _at(near, k - above - 1)


def _bracket(pairs: _Pairs, k: int) -> tuple[float, float]:
    """Two values that the k-th largest most likely lies between, from a sample."""
    stride = sum(len(values) for values, _ in pairs) // SAMPLE
    if stride < 2:
        return -math.inf, math.inf
    thinned = [(v[::stride], None if a is None else a[::stride]) for v, a in pairs]
    sample = _taken(thinned, [a for _, a in thinned])
    left = sum(len(v) if a is None else np.count_nonzero(a) for v, a in pairs)
    place, margin = k / left * len(sample), 4 * math.sqrt(len(sample)) + 1
    first, last = int(place - margin), int(place + margin)
    return (
        _at(sample, last) if last < len(sample) else -math.inf,
        _at(sample, first) if first >= 0 else math.inf,
    )


def _where(
    pairs: _Pairs, low: float = -math.inf, high: float = math.inf, above: float | None = None
) -> list[np.ndarray]:
    """Which allowed values lie in [low, high], or are ``above`` a value."""
    found = []
    for values, allowed in pairs:
        if above is not None:
            inside = values > above
        elif high == math.inf:
            inside = values >= low
        else:
            inside = (values >= low) & (values <= high)
        found.append(inside if allowed is None else inside & allowed)
    return found


def _taken(pairs: _Pairs, masks: Sequence[np.ndarray | None]) -> np.ndarray:
    chosen = [v if m is None else v[m] for (v, _), m in zip(pairs, masks, strict=True)]
    return chosen[0] if len(chosen) == 1 else np.concatenate(chosen)


def _at(values: np.ndarray, place: int) -> float:
    """The value at a place, from 0, in falling order."""
    rising = len(values) - 1 - place
    return np.partition(values, rising)[rising]


def _array(values: Tensor) -> np.ndarray:
    """As NumPy knows it: half-precision floats widened, which is exact."""
    wide = values.dtype in (torch.float32, torch.float64) or not values.is_floating_point()
    return (values if wide else values.float()).detach().numpy()


def _pairs(
    values: Sequence[Tensor], allowed: Sequence[Tensor] | None
) -> list[tuple[Tensor, Tensor | None]]:
    return list(zip(values, allowed or [None] * len(values), strict=True))
