"""Weights that somebody saved elsewhere: read, and held against the network that they are for.

Two kinds of files hold them: safetensors, and what ``torch.save`` wrote of a state_dict. The second
is a pickle, of which torch unpickles tensors and plain values only (``weights_only``).
"""

import difflib
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pruning.errors import PruningError
from pruning.training.state import State

SHOWN = 4  # names of one kind in a message; of the others, how many there are
CONVERTED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COUNTER = "num_batches_tracked"  # of batch norm; files of before 2018 lack it


@dataclass(frozen=True)
class Saved:
    """What a file of weights holds.

    Attributes:
        path: the file, as the user named it.
        tensors: by the name that they have in the file.
        inside: the entry of the file that they lie in; empty at the top.
        beside: the file's other entries, which are not read.
    """

    path: str
    tensors: Mapping[str, Tensor]
    inside: str = ""
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """Saved weights as a network's state.

    Attributes:
        state: weights and buffers; no optimizer slots and no masks.
        converted: how many tensors were of another floating-point type, by that type.
        counted: whether the file is from before batch norm counted its batches, so that the
            counters begin at 0.
    """

    state: State
    converted: Mapping[str, int]
    counted: bool


def read_saved(path: Path | str) -> Saved:
    """Read a file of weights.

    Args:
        path: safetensors, or a state_dict saved by ``torch.save``, at the top of the file or as its
            only entry of that kind, say under ``model`` beside an optimizer's state.

    Raises:
        PruningError: the file is missing or damaged, of another kind (a whole module, TorchScript,
            an exported program), or does not say which of several state_dicts it is about.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise PruningError(f"The weights {path} cannot be read ({error.strerror}).") from None
    if start[8:] == b"{":  # after the length of its header, which is JSON
        return Saved(str(path), _safetensors(path))
    if start.startswith(b"PK"):
        _check_archive(path)
    return _state_dict(_unpickled(path), path)


def fit(
    saved: Saved, module: nn.Module, keys: Mapping[str, str] | None = None, *, step: int = 0
) -> Fitted:
    """Saved weights as the state of a network: every tensor in its place, or an error.

    A weight that layers share may be there by each of its names, if it is the same under all.

    Args:
        saved: the file's content.
        module: the network, as its code builds it.
        keys: network's names by the file's; what ends in a dot, or is empty, is the beginning of
            names. A whole name goes before a beginning, a long one before a short one.
        step: optimizer updates that the state is to count.

    Raises:
        PruningError: tensors that the file lacks, has besides, or has in another shape or type, or
            that are not finite; a key that nothing in the file is called by.
    """
    given = _renamed(saved, keys or {})
    wanted = _wanted(module)
    counted = _lacks_counters(wanted, given, module)
    _check_names(saved, wanted, given, counted)
    chosen, types = {}, Counter()
    for name, place in wanted.items():
        if place.known_as(given) or not counted:
            chosen[name] = _checked(saved, name, place, given)
            if chosen[name].dtype != place.tensor.dtype:
                types[str(chosen[name].dtype).removeprefix("torch.")] += 1
        else:
            chosen[name] = torch.zeros_like(place.tensor)
    tensors = {
        name: tensor.detach().to(wanted[name].tensor.dtype).clone().contiguous()
        for name, tensor in chosen.items()
    }
    _check_values(saved, wanted, tensors)
    weights = {name: tensors[name] for name, _ in module.named_parameters()}
    buffers = {
        name: tensors.get(name, own.detach().clone()) for name, own in module.named_buffers()
    }
    return Fitted(State(weights, buffers, step=step), dict(types), counted)


# -- reading --------------------------------------------------------------------------------------


def _safetensors(path: Path | str) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get("format", "")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise PruningError(f"The weights {path} are truncated or damaged ({error}).") from None
    if told.startswith("pruning-"):
        raise PruningError(
            f"{path} is a file that this project keeps for itself ({told}). Write its network as "
            "one that can be read anywhere: `pruning export <its folder> --to net.safetensors`."
        )
    if not tensors:
        raise PruningError(f"{path} holds no tensors.")
    return tensors


def _check_archive(path: Path | str) -> None:
    """Refuse archives that ``torch.save`` did not write, before torch explains them at length."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise PruningError(f"The weights {path} are truncated or damaged ({error}).") from None
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last or any("/code/" in name for name in names):
        what = "a TorchScript archive (torch.jit.save), which is a program"
    elif "archive_format" in last or any(name.endswith("models/model.json") for name in names):
        what = "a program (torch.export.save)"
    elif "data.pkl" not in last:
        what = "an archive that torch.save did not write"
    else:
        return
    raise PruningError(f"{path} is {what}. {_SAVE}")


_SAVE = (
    "Save the weights alone, `torch.save(network.state_dict(), path)`, or as safetensors, and name "
    "that file."
)


def _unpickled(path: Path | str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for what is no pickle, is damaged, or is refused
        text = " ".join(str(error).split())
        if refused := re.search(r"(?:GLOBAL|class|type) ([A-Za-z_][\w.]*\.[\w.]+)", text):
            raise PruningError(
                f"{path} holds more than tensors and plain values ({refused[1]}): a whole module "
                f"or other objects were saved, and reading them would run their code. {_SAVE}"
            ) from None
        raise PruningError(
            f"{path} is neither safetensors nor what torch.save writes, or is damaged "
            f"({type(error).__name__}). {_SAVE}"
        ) from None


def _state_dict(found: Any, path: Path | str) -> Saved:
    """The one state_dict that an unpickled file has: all of it, or one of its entries."""
    if not isinstance(found, Mapping):
        raise PruningError(f"{path} holds a {type(found).__name__} and no state_dict. {_SAVE}")
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    others = [str(name) for name in found if name not in tensors]
    if tensors and _named(tensors) and not others:
        return Saved(str(path), tensors)
    if tensors:
        unnamed = [str(name) for name in tensors if not isinstance(name, str)]
        raise PruningError(
            f"{path} has entries that are no named tensors beside its tensors: "
            f"{_listed(others or unnamed)}. {_SAVE}"
        )
    inside = [name for name, value in found.items() if _is_state_dict(value)]
    if len(inside) != 1:
        has = f"several state_dicts ({_listed(inside)})" if inside else "no state_dict"
        told = f" among its entries: {_listed(others)}" if others and not inside else ""
        raise PruningError(f"{path} has {has}{told}. {_SAVE}")
    beside = tuple(name for name in others if name != str(inside[0]))
    return Saved(str(path), found[inside[0]], str(inside[0]), beside)


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and _named(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _named(tensors: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) for name in tensors)


# -- names ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where a network keeps a tensor: the tensor, all its names, and what it is."""

    tensor: Tensor
    names: tuple[str, ...]
    kind: str

    def known_as(self, given: Mapping[str, Any]) -> list[str]:
        return [name for name in self.names if name in given]


def _wanted(module: nn.Module) -> dict[str, _Place]:
    """What a state_dict of the network has, by the first name of each tensor."""
    saved = module.state_dict(keep_vars=True)
    found = {}
    for kind, one, every in (
        ("weight", module.named_parameters(), module.named_parameters(remove_duplicate=False)),
        ("buffer", module.named_buffers(), module.named_buffers(remove_duplicate=False)),
    ):
        names: dict[int, list[str]] = {}
        for name, tensor in every:
            names.setdefault(id(tensor), []).append(name)
        for name, tensor in one:
            kept = tuple(n for n in names[id(tensor)] if n in saved)
            if kept:  # else a buffer that its author does not save
                found[name] = _Place(tensor, kept, kind)
    return found


def _renamed(saved: Saved, keys: Mapping[str, str]) -> dict[str, Tensor]:
    """The file's tensors by the network's names."""
    used, given, was = set(), {}, {}
    beginnings = sorted((k for k in keys if not k or k.endswith(".")), key=len, reverse=True)
    for name, tensor in saved.tensors.items():
        key = name if name in keys else next((b for b in beginnings if name.startswith(b)), None)
        new = name if key is None else keys[key] + name[len(key) :]
        used.add(key)
        if new in given:
            raise PruningError(
                f"{saved.path}: both {was[new]!r} and {name!r} would be {new!r}. Mend `keys`."
            )
        given[new], was[new] = tensor, name
    for key in keys:
        if key not in used:
            what = "begins with" if not key or key.endswith(".") else "is called"
            near = difflib.get_close_matches(key, list(saved.tensors), n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise PruningError(f"{saved.path}: no tensor {what} {key!r}, as `keys` has it.{hint}")
    return given


def _lacks_counters(
    wanted: Mapping[str, _Place], given: Mapping[str, Tensor], module: nn.Module
) -> bool:
    """Whether the file is older than counters of batches, where these decide nothing."""
    counters = [n for n, place in wanted.items() if n.endswith(COUNTER) and place.kind == "buffer"]
    decides = any(
        isinstance(layer, nn.modules.batchnorm._NormBase) and layer.momentum is None
        for layer in module.modules()
    )
    return bool(counters) and not decides and not any(name.endswith(COUNTER) for name in given)


def _check_names(
    saved: Saved, wanted: Mapping[str, _Place], given: Mapping[str, Tensor], counted: bool
) -> None:
    known = {name for place in wanted.values() for name in place.names}
    missing = [
        name
        for name, place in wanted.items()
        if not place.known_as(given) and not (counted and name.endswith(COUNTER))
    ]
    more = [name for name in given if name not in known]
    shapes = [
        f"{name} is {tuple(given[name].shape)} there and {tuple(place.tensor.shape)} here"
        for place in wanted.values()
        for name in place.known_as(given)
        if given[name].shape != place.tensor.shape
    ]
    told = []
    if missing:
        told.append(f"it lacks {_listed(missing)}")
    if more:
        told.append(f"it has {_listed(more)}, which the network has not")
    if shapes:
        told.append(f"of another shape, {_listed(shapes, '; ')}")
    if told:
        hint = _hint(missing, more, wanted, given)
        raise PruningError(
            f"The weights in {saved.path} are not those of this network: {'; '.join(told)}.{hint}"
        )


def _hint(
    missing: Sequence[str],
    more: Sequence[str],
    wanted: Mapping[str, _Place],
    given: Mapping[str, Tensor],
) -> str:
    """What to write under ``keys``, where names differ by their beginning or a little."""
    if not missing or not more:
        return ""
    for first, second, text in (
        (more, missing, '`keys: {{"{0}": ""}}`'),
        (missing, more, '`keys: {{"": "{0}"}}`'),
    ):
        start = first[0].partition(".")[0] + "."
        cut = {name.removeprefix(start) for name in first if name.startswith(start)}
        if cut and cut <= set(second):
            return f" Names would agree with {text.format(start)}."
    for name in more:
        alike = [n for n in missing if wanted[n].tensor.shape == given[name].shape]
        if near := difflib.get_close_matches(name, alike, n=1, cutoff=0.5):
            return (
                f" Is its {name!r} the network's {near[0]!r}? Then say so: "
                f'`keys: {{"{name}": "{near[0]}"}}`.'
            )
    return " Where names differ, `keys` says which is which."


# -- values ---------------------------------------------------------------------------------------


def _checked(saved: Saved, name: str, place: _Place, given: Mapping[str, Tensor]) -> Tensor:
    """The tensor of a place, in the file's type."""
    first, *others = place.known_as(given)
    tensor, own = given[first], place.tensor
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        raise PruningError(
            f"{saved.path}: {first} is sparse, quantized or without numbers. Save it as it was."
        )
    fits = tensor.dtype in CONVERTED if own.is_floating_point() else tensor.dtype == own.dtype
    if not fits:
        mine = str(own.dtype).removeprefix("torch.")
        raise PruningError(
            f"{saved.path}: {first} is of type {kind}, where the network has {mine}. "
            "Save the weights in floating point."
            if own.is_floating_point()
            else f"{saved.path}: {first} is of type {kind}, where the network has {mine}."
        )
    for other in others:
        same = given[other].dtype == tensor.dtype and torch.equal(given[other], tensor)
        if not same:
            raise PruningError(
                f"{saved.path}: the network has one tensor for {first} and {other}, which differ "
                "in the file. It is of another network."
            )
    return tensor


def _check_values(
    saved: Saved, wanted: Mapping[str, _Place], tensors: Mapping[str, Tensor]
) -> None:
    wrong = [name for name, tensor in tensors.items() if _is_wrong(tensor, wanted[name])]
    if wrong:
        raise PruningError(
            f"{saved.path}: {_listed(wrong)} {'is' if len(wrong) == 1 else 'are'} not finite (NaN "
            "or infinite numbers). The network's training went wrong, or its weights do not fit "
            "into the type that this network has."
        )


def _is_wrong(tensor: Tensor, place: _Place) -> bool:
    """Whether numbers are not finite, and not because the network's author has them so."""
    if not tensor.is_floating_point():
        return False
    bad = ~tensor.isfinite()
    if place.kind == "buffer":  # masks of attention are infinite by design
        bad &= tensor != place.tensor
    return bool(bad.any())


def _listed(names: Iterable[Any], between: str = ", ") -> str:
    """The first few names, and how many more there are."""
    every = [str(name) for name in names]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return between.join(every[:SHOWN]) + more
