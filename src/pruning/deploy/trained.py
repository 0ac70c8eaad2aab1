"""The network that a training left, rebuilt from its state and the ``state.json`` beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pruning import registry
from pruning.errors import PruningError
from pruning.files import read_json, sha256
from pruning.masks import mask as masking
from pruning.models.cost import network_macs
from pruning.seeds import generator
from pruning.training.checkpoint import load_state
from pruning.training.classification import Classification
from pruning.training.network import network_of
from pruning.training.state import State
from pruning.training.task import Task

STATE, METADATA = "state.safetensors", "state.json"


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as its training left it.

    Attributes:
        name: the folder or file, as the user named it.
        values: the study's plain task values.
        task: the task that follows from them. Its images are not read.
        state: the state it was rebuilt from.
        module: in evaluation mode, on the CPU, its masked weights zero.
        data: the prepared data set.
        data_sha256: of the file that the training read.
        whole: the same network with its filters that are gone as zeros, where they were left out.
        left_out: how many channels these were.
    """

    name: str
    values: Mapping[str, Any]
    task: Task
    state: State
    module: nn.Module
    data: Path
    data_sha256: str
    whole: "TrainedNetwork | None" = None
    left_out: int = 0

    @property
    def parameters(self) -> int:
        """How many there are, masked ones included."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @cached_property
    def nonzero(self) -> int:
        """How many parameters are not zero."""
        return sum(int(parameter.count_nonzero()) for parameter in self.module.parameters())

    @property
    def kept(self) -> tuple[int, int] | None:
        """(kept, prunable) weights; None for a network without masks."""
        if self.whole is not None:
            return self.whole.kept
        return masking.counts(self.state.masks) if self.state.masks else None

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one example, as a dense kernel makes them."""
        return sum(network_macs(self.module, self.task.example()).values())

    @cached_property
    def kept_macs(self) -> int:
        """The same with masked weights skipped."""
        return sum(network_macs(self.module, self.task.example(), self.state.masks).values())

    @cached_property
    def data_changed(self) -> bool:
        """Whether the prepared data set is another than the training read."""
        return sha256(self.data) != self.data_sha256

    def inputs(self, batch: int) -> tuple[Tensor, ...]:
        """Arguments of the network, ``batch`` examples each: noise where they are real.

        Normalized images have mean 0 and standard deviation 1, and so has the noise.
        """
        draws = generator(0, "inputs of a trained network")
        return tuple(
            torch.randn(batch, *one.shape[1:], generator=draws)
            if one.is_floating_point()
            else one.repeat(batch, *[1] * (one.dim() - 1))
            for one in self.task.example()
        )

    @torch.inference_mode()
    def logits(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the network gives."""
        return self.module(*inputs)


def load_trained(path: Path | str) -> TrainedNetwork:
    """Rebuild a network.

    Args:
        path: a training's folder, or its ``state.safetensors``.

    Raises:
        PruningError: it is no such folder, a file is missing or damaged, the prepared data set is
            not there, or the network cannot be built.
    """
    file = _state_file(Path(path))
    values, parent = _metadata(file.with_name(METADATA))
    state = load_state(file)
    data = _prepared(parent["path"], file, values)
    try:
        task = _task(values, data, str(path))
        module = network_of(task, state).eval()
    except PruningError as error:
        raise PruningError(
            f"The network of {path} cannot be built. {error}{_hint(state)}"
        ) from error
    return TrainedNetwork(str(path), values, task, state, module, data, parent["sha256"])


def normalization(task: Task) -> dict[str, Any] | None:
    """How uint8 images become what the network takes, as plain values.

    Returns:
        ``kind`` and, unless every image has its own, ``mean`` and ``std`` of each channel, where
        pixels lie in [0, 1]. None for a task that does not classify images.
    """
    if not isinstance(task, Classification):
        return None
    batches, channels = task.recipe.batches, task.data.shape[0]
    if batches.normalization == "given":
        mean, std = batches.mean, batches.std
    elif batches.normalization == "per_channel":
        mean = [value / 255 for value in task.data.mean]
        std = [(value if value > 0 else 1.0) / 255 for value in task.data.std]
    elif batches.normalization == "scale":
        mean, std = [0.0] * channels, [1.0] * channels
    else:
        return {"kind": batches.normalization}
    return {"kind": batches.normalization, "mean": list(mean), "std": list(std)}


def facts(network: TrainedNetwork) -> dict[str, Any]:
    """What someone who has only the exported file has to know, as plain values."""
    task, kept = network.task, network.kept
    told = {
        "network": network.values["network"]["name"],
        "options": network.values["network"].get("options", {}),
        "inputs": [
            {"shape": ["batch", *one.shape[1:]], "type": str(one.dtype).removeprefix("torch.")}
            for one in task.example()
        ],
        "classes": list(task.data.classes) if isinstance(task, Classification) else None,
        "normalization": normalization(task),
        "dataset": task.record()["dataset"],
        "step": network.state.step,
        "parameters": network.parameters,
        "nonzero": network.nonzero,
        "macs": network.macs,
    }
    if kept is not None:
        told |= {"prunable": kept[1], "kept": kept[0]}
    if network.left_out:
        told["left_out_channels"] = network.left_out
    if network.state.shape:  # see pruning.models.shape
        told["shape"] = {key: value.tolist() for key, value in network.state.shape.items()}
    return json.loads(json.dumps(told))


def _state_file(path: Path) -> Path:
    if not path.exists():
        raise PruningError(
            f"{path} does not exist. Name the folder of a training, such as "
            "results/digits/seed0/dense."
        )
    if not path.is_dir() and path.name != STATE:
        raise PruningError(
            f"{path} is not what a training ends with. Name a training's folder, or the {STATE} "
            "in it."
        )
    file = path / STATE if path.is_dir() else path
    if file.with_name(METADATA).is_file():
        return file
    below = sorted(str(p.parent) for p in islice(path.rglob(METADATA), 3)) if path.is_dir() else []
    hint = f" Some below it: {', '.join(below)}." if below else ""
    raise PruningError(
        f"{file.parent} has no {METADATA}, so it is not the folder of a training. Name one that "
        f"is, such as results/digits/seed0/dense.{hint}"
    )


def _metadata(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The study's task values, and path and SHA-256 of the prepared data set."""
    told = read_json(path)
    try:
        values, data = told["config"]["task"], told["parents"]["data"]
        found = {"path": str(data["path"]), "sha256": str(data["sha256"])}
        values["kind"], values["network"]["name"]
    except (KeyError, TypeError):
        raise PruningError(
            f"{path} does not say what was trained on which data. It is of another program, or of "
            "an older version of this one; run the training again."
        ) from None
    return values, found


def _prepared(path: str, file: Path, values: Mapping[str, Any]) -> Path:
    """The prepared data set, whose path is relative to the folder that ``results`` lies in."""
    for folder in (Path(), *file.resolve().parents):
        if (folder / path).is_file():
            return folder / path
    raise PruningError(
        f"The prepared data set {path} is not there; shape and classes of the network come from "
        f"it. Make it with `pruning prepare {values.get('dataset', Path(path).stem)}` in the "
        "repository, and repeat this."
    )


def _task(values: Mapping[str, Any], data: Path, name: str) -> Task:
    load = registry.find("task kind", values["kind"])
    try:
        return load(values, data, device="cpu", name=name)
    except (KeyError, TypeError) as error:
        raise PruningError(
            f"Its {METADATA} has task values that this version does not read "
            f"({type(error).__name__}: {error}). Run the training again."
        ) from error


def _hint(state: State) -> str:
    """What to name instead, where a state is of a network under parametrizations."""
    if not any(".parametrizations." in name for name in state.weights):
        return ""
    return (
        " This training changed what its weights are made of (a search trains scores of them): "
        "name the folder of the training that went on from it."
    )
