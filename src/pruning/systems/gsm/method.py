"""Global Sparse Momentum SGD: an optimizer that prunes while it trains.

Ding, Ding, Zhou, Guo, Han, Liu (NeurIPS 2019, arXiv 1909.12778). Of all kernels' weights together,
only the Q that matter most for this mini-batch get its gradient in a step; the others get nothing
but weight decay, which momentum accelerates, so that over thousands of steps they shrink to almost
nothing and setting them to zero costs no accuracy.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from pruning.errors import PruningError
from pruning.masks.order_statistics import kth_largest
from pruning.option_types import BelowOne

FROZEN = "active"  # the optimizer's state of a weight tensor whose active set is frozen


class GSM(torch.optim.SGD):
    """SGD that passes on the gradients of the ``density`` * N most important weights only.

    With T = |gradient * weight|, of the gradient as ``backward`` left it, without weight decay
    (to first order, how much the loss would change if the weight were zero), a step is::

        B = 1 where T is at least the Q-th largest T of all kernels, else 0;  Q = int(density * N)
        Z <- momentum * Z + weight_decay * W + B * gradient
        W <- W - lr * Z

    (the paper's equations 9 and 10). B is found anew in every step, nothing is set to zero, and a
    passive weight becomes active again as soon as it matters. ``step`` replaces gradients by B
    times them. With density 1 every step is that of :class:`torch.optim.SGD`, bit for bit.

    ::

        optimizer = GSM(model.parameters(), lr=1e-2, density=1 / 60, momentum=0.99,
                        nesterov=True, weight_decay=5e-4)

    and after the training ``pruning.select`` finds what to keep. Ranked are tensors of two or more
    dimensions: kernels, but no biases and no batch-norm parameters. A parameter group with
    ``"ranked": False`` is trained whole and counts nowhere; one with ``True`` is ranked, all of it.

    Args:
        params: parameters or parameter groups, as of :class:`torch.optim.SGD`.
        lr: learning rate; :class:`torch.optim.SGD` has the same default.
        density: fraction of ranked weights that are active, in (0, 1]; 1 / C for the paper's
            compression ratio C.
        reselect: whether the active set is found anew in every step. Without it that of the first
            step stays, which is an ablation of the paper.
        **settings: momentum, weight_decay, nesterov, foreach, fused, ... of SGD.

    Raises:
        PruningError: a density outside (0, 1], or so low that no weight is active.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        *,
        density: float = 1.0,
        reselect: bool = True,
        **settings: Any,
    ) -> None:
        if not 0 < density <= 1:
            raise PruningError(
                f"GSM's density is the fraction of weights that are active in a step and lies in "
                f"(0, 1]; {density} does not."
            )
        super().__init__(params, lr, **settings)
        self.density, self.reselect = density, reselect
        if self._ranked() and not self.active_count():
            total = sum(weight.numel() for weight in self._ranked())
            raise PruningError(f"Density {density:g} leaves none of {total} weights active.")

    def __getstate__(self) -> dict[str, Any]:  # torch's names what is pickled
        return super().__getstate__() | {"density": self.density, "reselect": self.reselect}

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """One step; see the class.

        Args:
            closure: computes the gradients and returns the loss, as torch's optimizers take it.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._silence_passive()
        super().step()
        return loss

    def active_count(self) -> int:
        """Q: how many weights are active in a step, ties aside."""
        return int(self.density * sum(weight.numel() for weight in self._ranked()))

    def _ranked(self) -> list[Tensor]:
        return [
            weight
            for group in self.param_groups
            for weight in group["params"]
            if group.get("ranked", weight.dim() > 1)
        ]

    def _silence_passive(self) -> None:
        weights = [weight for weight in self._ranked() if weight.grad is not None]
        if self.density == 1 or not weights:
            return
        factors = self._active(weights) if self.reselect else self._first_active(weights)
        torch._foreach_mul_([weight.grad for weight in weights], factors)

    def _active(self, weights: list[Tensor]) -> list[Tensor]:
        return _factors(weights, min(self.active_count(), sum(w.numel() for w in weights)))

    def _first_active(self, weights: list[Tensor]) -> list[Tensor]:
        """The active set of the first step, kept in the optimizer's state."""
        if any(FROZEN not in self.state[weight] for weight in weights):
            for weight, factor in zip(weights, self._active(weights), strict=True):
                self.state[weight][FROZEN] = factor
        return [self.state[weight][FROZEN] for weight in weights]


def _factors(weights: list[Tensor], active: int) -> list[Tensor]:
    """B of every tensor as 0 and 1, in its weights' type and memory layout."""
    flat = weights[0].new_empty(sum(weight.numel() for weight in weights))
    taken = [
        piece.as_strided(weight.shape, weight.stride())
        for piece, weight in zip(flat.split([w.numel() for w in weights]), weights, strict=True)
    ]
    for importance, weight in zip(taken, weights, strict=True):
        torch.mul(weight, weight.grad, out=importance)
    flat.abs_()
    torch.ge(flat, kth_largest([flat], active), out=flat)
    return taken


def gsm(
    groups: list[dict[str, Any]],
    *,
    density: float = 1.0,
    reselect: bool = True,
    momentum: BelowOne = 0.0,
    nesterov: bool = False,
) -> GSM:
    """:class:`GSM` as a recipe's optimizer; one fused kernel for all tensors."""
    return GSM(
        groups,
        lr=0.0,
        density=density,
        reselect=reselect,
        momentum=momentum,
        nesterov=nesterov,
        fused=True,
    )
