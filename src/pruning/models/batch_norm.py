"""Batch norm by groups: every group of so many examples of a batch is normalized by itself.

Trainings on several devices do so, each device its own share of a batch (Renda et al. 2020: 128
images of 1,024). Said as a number of examples, it is the same mathematics on any number of them.

The layers stay what they are, ``BatchNorm2d`` and so on, with the parameters and buffers that they
had; only their forward pass while they train is another.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruning.errors import PruningError


class _ByGroups:
    """Before a batch norm among a class's bases: its forward pass by groups.

    Attributes:
        group: examples of each, counted from the start of a batch; the last has what is left.
    """

    group: int

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``x`` (N, C, ...); whole in evaluation, or where it is one group.

        The running statistics move once, towards the mean of the groups' statistics, in which each
        counts by its examples.

        Raises:
            ValueError: torch's own, where a group has one value per channel.
        """
        if not self.training or len(x) <= self.group:
            return super().forward(x)
        self._check_input_dim(x)
        parts = x.split(self.group)
        means = variances = [None] * len(parts)
        if self.track_running_stats:
            means, variances = (
                buffer.new_zeros(len(parts), self.num_features)
                for buffer in (self.running_mean, self.running_var)
            )
        made = [
            # With a momentum of 1 what is tracked is the statistic of this group alone.
            nn.functional.batch_norm(
                part, mean, variance, self.weight, self.bias, True, 1.0, self.eps
            )
            for part, mean, variance in zip(parts, means, variances, strict=True)
        ]
        if self.track_running_stats:
            shares = means.new_tensor([[len(part) / len(x)] for part in parts])
            self._move((shares * means).sum(0), (shares * variances).sum(0))
        return torch.cat(made)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """One step of the running statistics, as torch's own layers make it."""
        self.num_batches_tracked.add_(1)
        step = self.momentum
        if step is None:  # the mean over all batches
            step = 1.0 / float(self.num_batches_tracked)
        for buffer, found in ((self.running_mean, mean), (self.running_var, variance)):
            buffer.mul_(1 - step).add_(found, alpha=step)


class GroupedBatchNorm1d(_ByGroups, nn.BatchNorm1d):
    """Of (N, C) or (N, C, L)."""


class GroupedBatchNorm2d(_ByGroups, nn.BatchNorm2d):
    """Of (N, C, H, W)."""


class GroupedBatchNorm3d(_ByGroups, nn.BatchNorm3d):
    """Of (N, C, D, H, W)."""


_GROUPED = {
    nn.BatchNorm1d: GroupedBatchNorm1d,
    nn.BatchNorm2d: GroupedBatchNorm2d,
    nn.BatchNorm3d: GroupedBatchNorm3d,
}
_WHOLE = {grouped: whole for whole, grouped in _GROUPED.items()}


def in_groups(module: nn.Module, group: int | None) -> nn.Module:
    """Make the batch norms of a network work by groups, in place.

    The layers are the same objects with the same tensors, so weights that are shared stay shared,
    and hooks, names and what refers to them stay.

    Args:
        module: the network.
        group: examples of each group; None: batches are normalized whole.

    Raises:
        PruningError: see :func:`check_groups`, but for a network without batch norm.
    """
    for name, layer in _batch_norms(module):
        whole = _WHOLE.get(type(layer), type(layer))
        if group is None:
            layer.__class__ = whole
            continue
        _refuse_others(name, layer, whole)
        layer.__class__, layer.group = _GROUPED[whole], group
    return module


def check_groups(module: nn.Module, group: int | None) -> None:
    """Refuse groups where a network has nothing that would normalize by them.

    Args:
        module: the network as it is built; left as it was.
        group: examples of each group.

    Raises:
        PruningError: no batch norm, or one that is not torch's own.
    """
    if group is None:
        return
    found = _batch_norms(module)
    if not found:
        raise PruningError(
            f"batch_norm_group is {group}, but this network has no batch norm. Take it out of the "
            "recipe."
        )
    for name, layer in found:
        _refuse_others(name, layer, _WHOLE.get(type(layer), type(layer)))


@contextlib.contextmanager
def only_in_groups(module: nn.Module) -> Iterator[None]:
    """Refuse, when a network has run once, batch norm that its code calls without a layer.

    Args:
        module: the network; nothing is looked at where it does not work by groups.

    Raises:
        PruningError: some batch was normalized that no layer could split.
    """
    grouped = [layer for layer in module.modules() if isinstance(layer, _ByGroups)]
    if not grouped:
        yield
        return
    of_layers: list[int] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, given: of_layers.append(-(-len(given[0]) // layer.group))
        )
        for layer in grouped
    ]
    calls = _Calls()
    try:
        with calls:
            yield
    finally:
        for hook in hooks:
            hook.remove()
    if others := calls.count - sum(of_layers):
        raise PruningError(
            f"{others} of the {calls.count} batch norms that this network calls are of no layer, "
            "so batch_norm_group cannot split what they normalize. Use torch's BatchNorm1d, 2d or "
            "3d instead of functional.batch_norm, or take batch_norm_group out of the recipe."
        )


class _Calls(TorchFunctionMode):
    """Counts what is normalized by its own statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # noqa: ANN204
        kwargs = kwargs or {}
        if function in (nn.functional.batch_norm, torch.batch_norm):
            self.count += bool(args[5] if len(args) > 5 else kwargs.get("training", False))
        return function(*args, **kwargs)


def _batch_norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """All layers that normalize over a batch, by name, each once."""
    kind = nn.modules.batchnorm._BatchNorm
    return [(name, layer) for name, layer in module.named_modules() if isinstance(layer, kind)]


def _refuse_others(name: str, layer: nn.Module, kind: type[nn.Module]) -> None:
    own = "forward" in vars(layer)  # of one layer alone
    if kind not in _GROUPED or own:
        what = "a forward pass of its own" if own else f"of the class {kind.__name__}"
        raise PruningError(
            f"Layer {name!r} is a batch norm with {what}, which batch_norm_group does not know how "
            "to split. Use torch's BatchNorm1d, 2d or 3d, or take batch_norm_group out of the "
            "recipe."
        )
