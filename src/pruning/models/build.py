"""From a network's configuration to a module with freshly drawn weights."""

import difflib
import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_leaves

from pruning import registry
from pruning.errors import PruningError
from pruning.models import layers
from pruning.models.config import NetworkConfig
from pruning.seeds import generator

COPIES = 3  # of weights that a training holds: them, gradients, and momentum

# What layers hold of their own that is drawn or loaded after building, whatever it was before.
_SET_LATER = {
    nn.Conv2d: {"weight", "bias"},
    nn.Linear: {"weight", "bias"},
    nn.modules.batchnorm._NormBase: {
        "weight", "bias", "running_mean", "running_var", "num_batches_tracked"
    },
}  # fmt: skip


def build(config: NetworkConfig, takes: Any, makes: int, seed: int | None) -> nn.Module:
    """Build a network on the CPU.

    It is what its author wrote: weights that are tied stay so, and what the initialization does not
    set, such as a table of positions, has the values that its author gives it.

    Args:
        config: which network.
        takes: what its inputs are: (C, H, W) of images, of text how many pieces there are.
        makes: number of outputs: classes, or pieces of the text that it writes.
        seed: draws the weights; ``None`` leaves them as they are, unset or as their author draws
            them, for a state that is loaded next.

    Raises:
        PruningError: unknown name, option or initialization, or inputs the network cannot take.
    """
    factory = registry.find("network", config.name)
    parameters = list(inspect.signature(factory).parameters.values())[2:]
    allowed = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    for option in config.options:
        if option not in allowed and len(allowed) == len(parameters):
            raise PruningError(
                f"Network {config.name!r} has no option {option!r}. "
                f"Its options: {', '.join(allowed) or 'none'}."
            )
    try:
        module = _made(
            lambda: factory(takes, makes, **config.options),
            seed,
            known=not registry.is_from_outside("network", config.name),
        )
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise PruningError(
            f"Network {config.name!r} cannot be built with the options {config.options} for inputs "
            f"of {takes} and {makes} outputs: "
            f"{str(error).splitlines()[0] if str(error) else repr(error)}."
        ) from error
    if seed is not None:
        registry.find("initialization", config.initialization)(module, seed)
    return module


def _made(factory: Callable[[], nn.Module], seed: int | None, known: bool) -> nn.Module:
    """The module on the CPU, without a draw from the global generator that anyone could notice.

    Most networks are all drawn or loaded later: they are built without memory first, which saves
    drawing their weights twice. That would untie weights and lose other values, so networks that
    have any are built again as they are written. So are a user's: which way their forward pass
    takes may depend on values, and those of memory that nobody set are others in every run.
    """
    if known:
        with torch.device("meta"):
            module = factory()
        _refuse_too_large(module)
        if _is_set_later(module):
            return module.to_empty(device="cpu")
    module = constructed(factory, seed)
    _refuse_lazy(module)
    _refuse_too_large(module)
    return module


def _refuse_too_large(module: nn.Module) -> None:
    """Refuse a network whose weights this machine could not hold, which ends in a kill."""
    needed = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if COPIES * needed > there:
        raise PruningError(
            f"The weights of this network take {needed / 2**30:,.1f} GiB, as much as gradients and "
            f"what the optimizer keeps; this machine has {there / 2**30:,.1f} GiB. Make the "
            "network smaller (network.options)."
        )


def constructed(factory: Callable[[], nn.Module], seed: int | None) -> nn.Module:
    """A module as its author writes it, drawn from the seed; the global generator is as before."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.set_rng_state(generator(seed or 0, "construction").get_state())
        return factory()


def _is_set_later(module: nn.Module) -> bool:
    """Whether nothing is lost if all tensors lose their values and become tensors of their own."""
    named = [*module.named_parameters(remove_duplicate=False)]
    named += module.named_buffers(remove_duplicate=False)
    tied = len({id(tensor) for _, tensor in named}) < len(named)
    frozen = any(not parameter.requires_grad for parameter in module.parameters())
    return not (tied or frozen) and all(
        _own(layer) <= _expected(layer) for layer in module.modules()
    )


def _own(layer: nn.Module) -> set[str]:
    """Names of a layer's own tensors, also of those that are no parameters and no buffers."""
    return {
        name
        for group in (layer._parameters, layer._buffers, _attributes(layer))
        for name, value in group.items()
        if any(isinstance(leaf, torch.Tensor | nn.Module) for leaf in tree_leaves(value))
    }


def _attributes(layer: nn.Module) -> dict[str, Any]:
    """What a layer has besides what torch keeps track of."""
    own = {"_parameters", "_buffers", "_modules"}
    return {name: value for name, value in vars(layer).items() if name not in own}


def _expected(layer: nn.Module) -> set[str]:
    return {name for kind, names in _SET_LATER.items() if isinstance(layer, kind) for name in names}


def prunable_names(
    module: nn.Module, exempt: Sequence[str] = (), also: Sequence[str] = ()
) -> list[str]:
    """Names of the prunable weights: kernels of the layers in :mod:`pruning.models.layers`, and
    what is named, in the order of the parameters.

    A kernel that layers share is one weight, of the first name that it has.

    Args:
        module: the network.
        exempt: names of layers ("fc", "conv1"), which stand for all in them, or of tensors, that
            are never pruned, nor where they are shared; ``*`` stands for any letters.
        also: the same of tensors of two or more dimensions that are pruned though no layer in the
            table has them. Biases and vectors are pruned where a name spells theirs, as
            ``*.bias_ih*`` or ``norm.weight`` do: neither by a layer's name nor by ``*`` alone.

    Raises:
        PruningError: a name that fits no weight; tensors of two or more dimensions that are of no
            known layer and are not named; kernels that are made of other parameters, that have no
            shape yet, that give sparse gradients, or that require no gradient, if not exempt.
    """
    _refuse_lazy(module)
    first = _first_names(module)
    named = dict(module.named_parameters())
    known = {name: layer for name, layer, _, _ in layers.named_kernels(module)}
    made = [name for name in known if name not in first]  # parametrized
    of_table = {first[name] for name in known if name in first}
    taken = of_table | _biases_and_norms(module, first)
    unknown = [n for n, p in named.items() if p.ndim > 1 and n not in taken]
    candidates = {name: first.get(name, name) for name in (*first, *made)}
    weights = {*of_table, *made, *unknown}
    _refuse_old_style(module)
    _refuse_hidden(module)
    kept = _matching(exempt, candidates, weights, "Exempt", "exempt")
    small = {*first.values()} - weights  # biases and vectors
    added = _matching(also, candidates, weights, "Prunable", "prunable", small)
    if both := sorted(kept & added):
        raise PruningError(
            f"{_list(both)} is named under `exempt` and under `prunable`. Take it out of one."
        )
    _refuse([n for n in made if n not in kept], _MADE)
    _refuse([n for n in unknown if n not in kept | added], _UNKNOWN)
    chosen = [n for n in named if n in (of_table | added) - kept]
    frozen = [n for n in chosen if not named[n].requires_grad]
    _refuse_named([n for n in frozen if n in added])
    _refuse(frozen, _FROZEN)
    _refuse([n for n in chosen if getattr(known.get(n), "sparse", False) is True], _SPARSE)
    return chosen


_MADE = (
    "made of other parameters, by weight_norm, spectral_norm or another parametrization, so that "
    "what is zero would not stay zero. Take it off, or list"
)
_UNKNOWN = (
    "of no layer that is known, with two or more dimensions. Say whether to prune: list under "
    "`prunable` in the study (also_prunable of a task) what is a kernel, and"
)
_FROZEN = "not trained (requires_grad is False), so pruning could not train what is left. List"
_SPARSE = "of an embedding with sparse=True, whose gradients no mask fits. Take that out, or list"


def _refuse(names: Sequence[str], why: str) -> None:
    """Refuse weights by name."""
    if names:
        them, rest = ("them", "are") if len(names) > 1 else ("it", "is")
        end = "the rest" if why is _UNKNOWN else them
        raise PruningError(
            f"{_list(names)} {rest} {why} {end} under `exempt`, to keep as the network has "
            f"{them} and count {them} as dense."
        )


def _refuse_named(frozen: Sequence[str]) -> None:
    """Refuse what is named, perhaps by a ``*`` beside others, though it is no weight at all."""
    if frozen:
        raise PruningError(
            f"{_list(frozen)} is named under `prunable` in the study (also_prunable of a task), "
            "but is not trained (requires_grad is False), so pruning could not train what is left. "
            "Name others alone."
        )


def _list(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _refuse_lazy(module: nn.Module) -> None:
    lazy = [n for n, p in module.named_parameters() if is_lazy(p)]
    if lazy:
        raise PruningError(
            f"{_list(lazy)} has no shape before the network has run: layers called Lazy are not "
            "supported. Write its sizes."
        )


def _refuse_old_style(module: nn.Module) -> None:
    """Weights that a hook makes cannot be copied, which scores do, exempt or not."""
    old = [
        name
        for name, layer, attribute, _ in layers.named_kernels(module)
        if attribute not in layer._parameters and not parametrize.is_parametrized(layer, attribute)
    ]
    if old:
        raise PruningError(
            f"{_list(old)} is made by a hook, as torch.nn.utils.weight_norm and spectral_norm do. "
            "Take it off; torch.nn.utils.parametrizations has both, for layers that are exempt."
        )


def _refuse_hidden(module: nn.Module) -> None:
    """Layers that torch does not see are not trained, saved or moved with the others."""
    seen = {id(part) for part in (*module.modules(), *module.parameters())}
    hidden = [
        layers.inside(prefix, name)
        for prefix, layer in module.named_modules()
        for name, value in _attributes(layer).items()
        for part in tree_leaves(value)
        if isinstance(part, nn.Module | nn.Parameter) and id(part) not in seen
    ]
    if hidden:
        raise PruningError(
            f"{_list([*dict.fromkeys(hidden)])} of the network holds layers or weights in a plain "
            "list, tuple or dict, where they are neither trained nor saved. Use nn.ModuleList, "
            "nn.ModuleDict or nn.ParameterList."
        )


def refuse_changing(make: Callable[[], nn.Module], example: tuple[torch.Tensor, ...]) -> None:
    """Refuse a network that is another one each time it is built from the same seed.

    Every job builds it anew and puts the state of another into it. What its code draws by itself,
    with Python's or NumPy's generators, or reads from elsewhere, would not be what was trained.

    Args:
        make: builds it.
        example: what it takes; what is real in it is replaced by noise.

    Raises:
        PruningError: weights, buffers or outputs differ.
    """
    one, other = make().eval(), make().eval()
    noise = torch.Generator().manual_seed(0)
    given = [
        torch.rand(part.shape, generator=noise) if part.is_floating_point() else part
        for part in example
    ]
    made = []
    for module in (one, other):
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            output = tree_leaves(module(*(part.clone() for part in given)))
        made.append([*module.parameters(), *module.buffers(), *output])
    pairs = zip(*made, strict=True)
    if not all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs if _are_real(a, b)):
        raise PruningError(
            "The network is another one each time it is built, though the seed is the same. What "
            "its code draws must be drawn by torch, not by `random` or NumPy, or be the same each "
            "time (`random.Random(0)`, `numpy.random.default_rng(0)` within the function)."
        )


def _are_real(*values: Any) -> bool:
    return all(isinstance(value, torch.Tensor) for value in values)


def _biases_and_norms(module: nn.Module, first: Mapping[str, str]) -> set[str]:
    """Names of the parameters that are never pruned, however many dimensions they have."""
    found = set()
    for prefix, layer in module.named_modules():
        own = [*layer._parameters] if isinstance(layer, layers.NORMS) else layers.biases(layer)
        found |= {first[n] for n in (layers.inside(prefix, a) for a in own) if n in first}
    return found


def _matching(
    patterns: Sequence[str],
    candidates: Mapping[str, str],
    weights: Collection[str],
    what: str,
    key: str,
    small: Collection[str] = (),
) -> set[str]:
    """First names of the weights that patterns name, and of small tensors that they spell."""
    found = set()
    for pattern in patterns:
        names = {
            first
            for name, first in candidates.items()
            if (
                first in weights
                and any(fnmatchcase(part, pattern) for part in (name, *_owners(name)))
            )
            or (first in small and _spells(pattern, name))
        }
        if not names:
            near = difflib.get_close_matches(
                pattern, {*small, *(p for n in weights for p in (n, *_owners(n)))}
            )
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PruningError(
                f"{what}: {pattern!r} names no weight of this network that could be pruned "
                f"(`{key}`).{hint} Its weights: {_list(sorted(weights))}."
            )
        found |= names
    return found


def _spells(pattern: str, name: str) -> bool:
    """Whether a pattern fits a tensor's name, and says something of the last part of it."""
    last = pattern.rpartition(".")[2]
    return (
        last.strip("*") != ""
        and fnmatchcase(name.rpartition(".")[2], last)
        and fnmatchcase(name, pattern)
    )


def _owners(name: str) -> list[str]:
    """Names of the modules that a tensor lies in."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _first_names(module: nn.Module) -> dict[str, str]:
    """By each name of a parameter, the first one, by which states know it."""
    first = {id(parameter): name for name, parameter in module.named_parameters()}
    every = module.named_parameters(remove_duplicate=False)
    return {name: first[id(parameter)] for name, parameter in every}


def norm_scale_names(module: nn.Module) -> list[str]:
    """Names of the batch-norm scales (gamma), in module order."""
    return [
        f"{name}.weight"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.affine
    ]
