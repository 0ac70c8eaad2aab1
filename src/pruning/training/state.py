"""A training state: everything a training goes on from."""

import copy
import difflib
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.models import shape as shapes
from pruning.training import processes


@dataclass(frozen=True)
class State:
    """Weights, buffers, optimizer slots, masks, step and generators; all tensors on the CPU.

    Attributes:
        weights: every trainable parameter by name.
        buffers: batch-norm running statistics and other buffers by name.
        slots: optimizer tensors as ``slot/parameter name``; empty before the first step.
        masks: boolean, True = kept, for the prunable weights; empty while dense. Others that hold 0
            and 1 are made so, see :func:`pruning.masks.mask.taken`.
        step: optimizer updates so far, as the schedule counts them.
        generators: states of the generators that forward passes draw from (dropout), uint8.
        shape: which channels of its layers the network has, see :mod:`pruning.models.shape`; empty
            while it has all that its code builds.
        source: the file that it was read from, for messages; empty where it is from none.
    """

    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    slots: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    step: int = 0
    generators: Mapping[str, Tensor] = field(default_factory=dict)
    shape: shapes.Shape = field(default_factory=dict)
    source: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if any(getattr(mask, "dtype", None) != torch.bool for mask in self.masks.values()):
            object.__setattr__(self, "masks", masking.taken(self.masks, self.weights))

    def masked(self, masks: Mapping[str, Tensor]) -> "State":
        """The same state under other masks: weights and slots exactly zero where masked.

        Raises:
            PruningError: a mask for a weight that does not exist, of another shape, or that is
                none; see :func:`pruning.masks.mask.taken`.
        """
        masks = {name: mask.cpu() for name, mask in masking.taken(masks, self.weights).items()}
        for name, mask in masks.items():
            if name not in self.weights:
                near = difflib.get_close_matches(name, list(self.weights), n=1, cutoff=0.5)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise PruningError(
                    f"The mask of {name!r} does not fit this network: it has no such weight.{hint}"
                )
            if mask.shape != self.weights[name].shape:
                raise PruningError(
                    f"The mask of {name!r} does not fit this network: it is {tuple(mask.shape)}, "
                    f"the weight {tuple(self.weights[name].shape)}."
                )
        by_slot = {}
        for key, slot in self.slots.items():
            mask = masks.get(key.partition("/")[2])
            if mask is not None and mask.shape == slot.shape:  # not Adam's scalar step
                by_slot[key] = mask
        return replace(
            self,
            weights=masking.apply(masks, self.weights),
            slots=masking.apply(by_slot, self.slots),
            masks=masks,
        )

    def counting(self, names: Sequence[str]) -> "State":
        """The same state, if it is masked, with whole masks of those of some weights that have
        none: so that density counts them all."""
        if not self.masks:
            return self
        missing = [name for name in names if name not in self.masks]
        return replace(self, masks={**self.masks, **masking.dense(self.weights, missing)})

    def cut(self, change: shapes.Cuts) -> "State":
        """The same state of a network without some channels; the network keeps its names.

        Raises:
            PruningError: a slot that cannot be cut along with its weight.
        """
        constants = {f"{name}.value": value for name, value in change.constants.items()}
        return replace(
            self,
            weights=shapes.cut_tensors(self.weights, change),
            buffers=shapes.cut_tensors(self.buffers, change) | constants,
            slots=shapes.cut_tensors(self.slots, change, self.weights),
            masks=shapes.cut_tensors(self.masks, change),
            shape=shapes.changed(self.shape, change),
        )


def capture(module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> State:
    """Copies of a module's weights and buffers and an optimizer's slots: dense, of step 0.

    Args:
        module: the network.
        optimizer: over its parameters; None for a network that has not been trained yet.
    """
    return State(
        weights=_cpu(dict(module.named_parameters())),
        buffers=_cpu(dict(module.named_buffers())),
        slots=_cpu(slots(optimizer, module)) if optimizer is not None else {},
    )


def fingerprint(module: nn.Module) -> str:
    """64 bits of a module's weights and buffers."""
    found = hashlib.blake2b(digest_size=8)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found.update(f"{name} {_form(tensor)}".encode())
        found.update(content.numpy())
    return found.hexdigest()


def refuse_divided(name: str, module: nn.Module) -> None:
    """Refuse to go on where processes that train together no longer have the same network.

    Args:
        name: of the training, for messages.
        module: what each has.

    Raises:
        PruningError: on all of them; the message names those that differ from the first.
    """
    if processes.world() == 1:
        return
    found = processes.gathered(fingerprint(module))
    others = [str(rank) for rank, told in enumerate(found) if told != found[0]]
    if others:
        raise PruningError(
            f"{name}: the networks of the {len(found)} processes are no longer the same: "
            f"{', '.join(others)} {'differ' if len(others) > 1 else 'differs'} from 0. Something "
            "in this training is not the same for all of them: a random draw, a buffer that "
            "depends on more than a batch's mean, a faulty machine. Nothing of it is kept."
        )


def slots(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's tensors as ``slot/parameter name``, copied."""
    return {
        f"{slot}/{name}": value.detach().clone()
        for name, parameter in module.named_parameters()
        for slot, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_slots(
    optimizer: torch.optim.Optimizer,
    module: nn.Module,
    values: Mapping[str, Tensor],
    source: str = "",
) -> None:
    """Put tensors from :func:`slots` back. Parameters without any start with fresh slots.

    Args:
        optimizer: over the module's parameters.
        module: the network.
        values: by ``slot/parameter name``, on the module's device.
        source: the file that they are from, for messages.

    Raises:
        PruningError: a slot of a parameter that the module does not have, or not as the optimizer
            has it: fused kernels read a slot as far as its parameter goes, whatever its size.
    """
    parameters = dict(module.named_parameters())
    for key, value in values.items():
        slot, _, name = key.partition("/")
        if name not in parameters:
            raise PruningError(
                f"The state {source} has optimizer slot {key!r}, the network no such weight."
            )
        parameter = parameters[name]
        if value.shape == parameter.shape:
            # In the parameter's memory layout: fused kernels walk both side by side.
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        optimizer.state[parameter][slot] = value.detach().clone()
    _check_slots(optimizer, parameters, source)


def _check_slots(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], source: str
) -> None:
    """Compare loaded slots with those that the optimizer makes itself, where they look unlike it.

    Raises:
        PruningError: one is missing, or of another shape or type.
    """
    filled = {name: p for name, p in parameters.items() if optimizer.state.get(p)}
    names = {tuple(sorted(optimizer.state[p])) for p in filled.values()}
    trained = sum(len(group["params"]) for group in optimizer.param_groups)
    usual = len(names) <= 1 and all(
        _is_usual(slot, value, p) for p in filled.values() for slot, value in _slots(optimizer, p)
    )
    if not filled or (usual and len(filled) == trained):
        return
    fresh = _fresh(optimizer)
    for name, parameter in parameters.items():
        made = {s: v for s, v in fresh.get(parameter, {}).items() if isinstance(v, Tensor)}
        if name not in filled:  # a fused kernel takes slots of all or of none
            optimizer.state[parameter].update(made)
            continue
        given = dict(_slots(optimizer, parameter))
        for slot in sorted(given.keys() | made.keys()):
            told, wanted = _form(given.get(slot)), _form(made.get(slot))
            if told != wanted:
                raise PruningError(
                    f"The state {source} has the optimizer slot {slot}/{name} as {told}, and "
                    f"{type(optimizer).__name__} has {wanted}: it is of another network or "
                    "optimizer."
                )


def _slots(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter
) -> Iterable[tuple[str, Tensor]]:
    return [(s, v) for s, v in optimizer.state[parameter].items() if isinstance(v, Tensor)]


def _is_usual(slot: str, value: Tensor, parameter: nn.Parameter) -> bool:
    """Whether a slot is like its parameter, or a counter of steps: nothing needs to be tried."""
    if slot == "step":
        return value.dim() == 0 and value.dtype == torch.float32
    return value.shape == parameter.shape and value.dtype == parameter.dtype


def _form(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{_type(tensor)} {tuple(tensor.shape)}"


def _fresh(optimizer: torch.optim.Optimizer) -> dict[nn.Parameter, Mapping[str, Any]]:
    """The slots that an optimizer has after a first step, of copies of its parameters."""
    twin = copy.copy(optimizer)
    twin.state = defaultdict(dict)
    twin.param_groups, own = [], {}
    for group in optimizer.param_groups:
        copies = [nn.Parameter(torch.zeros_like(p)) for p in group["params"]]
        for parameter, made in zip(group["params"], copies, strict=True):
            made.grad = torch.zeros_like(made)
            own[parameter] = made
        twin.param_groups.append({**group, "params": copies})
    twin.step()
    return {parameter: twin.state.get(made, {}) for parameter, made in own.items()}


def is_finite(tensor: Tensor, infinite: bool = False) -> bool:
    """Whether all numbers are finite; or are numbers at all, where they may be ``infinite``."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    if tensor.dtype.itemsize < 4:  # not every kernel has them
        tensor = tensor.float()
    ends = torch.stack(torch.aminmax(tensor))  # one pass, and NaN is both ends of it
    return not bool((ends.isnan() if infinite else ~ends.isfinite()).any())


def _cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


@torch.no_grad()
def load_into(module: nn.Module, state: State) -> None:
    """Copy weights (masked) and buffers into a module.

    Raises:
        PruningError: names, shapes or types differ, so that the state is of another network; or a
            buffer is infinite where the network's own is not.
    """
    weights = masking.apply(state.masks, state.weights)
    this = f"The state {state.source}" if state.source else "This state"
    for kind, own, given in (
        ("weights", dict(module.named_parameters()), weights),
        ("buffers", dict(module.named_buffers()), state.buffers),
    ):
        mine = {name: (tuple(t.shape), _type(t)) for name, t in own.items()}
        theirs = {name: (tuple(t.shape), _type(t)) for name, t in given.items()}
        if mine != theirs:
            differing = sorted(set(mine.items()) ^ set(theirs.items()))[:4]
            raise PruningError(
                f"{this} is of another network: its {kind} differ, first in {differing}."
            )
        for name, tensor in own.items():
            # Masks of attention are infinite by design.
            if not is_finite(given[name]) and not torch.equal(
                given[name].isinf().cpu(), tensor.isinf().cpu()
            ):
                raise PruningError(f"{this} holds infinite numbers, in {kind}/{name}.")
            tensor.copy_(given[name])


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
