"""What checking files costs: a state of VGG-16 with momentum, and the files of small trainings.

A state is read as ``load_state`` does and by safetensors alone, written likewise, and put into
network and optimizer with and without comparing. The small files are those of so many trainings:
state, mask and its readable file, summary, timing and metrics. Milliseconds of the fastest of some
rounds, on one thread; files are in the page cache.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pruning.analysis import records
from pruning.analysis.tidy import read_table, write_table
from pruning.files import write_json
from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.training import optimizers
from pruning.training.checkpoint import load_masks, load_state, save_masks, save_state
from pruning.training.recipe import OptimizerConfig
from pruning.training.state import State, capture, load_into, load_slots

SGD = OptimizerConfig("sgd", 5e-4, (), {"momentum": 0.9})


def state_of(network: str, shape: tuple[int, int, int]) -> tuple[State, torch.nn.Module]:
    """A network with momentum, as a training leaves it."""
    module = build(NetworkConfig(network, "kaiming_normal", {}), shape, 10, 0)
    slots = {f"momentum_buffer/{n}": torch.ones_like(p) for n, p in module.named_parameters()}
    made = capture(module)
    return State(made.weights, made.buffers, slots), module


def best(rounds: int, do: Callable[[], object]) -> float:
    """Milliseconds of the fastest round."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        do()
        times.append(1000 * (time.perf_counter() - started))
    return min(times)


def raw(path: Path) -> dict[str, torch.Tensor]:
    """Tensors as safetensors has them, really read, nothing checked."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118


def of_a_state(network: str, shape: tuple[int, int, int], folder: Path, rounds: int) -> None:
    """Measure and print one network's."""
    state, module = state_of(network, shape)
    path = folder / "results/s/seed0/dense/state.safetensors"
    save_state(state, path)
    tensors = raw(path)
    optimizer = optimizers.make(SGD, module)

    def put() -> None:
        load_into(module, state)
        load_slots(optimizer, module, state.slots)

    def put_unchecked() -> None:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(state.weights[name])
                slot = torch.empty_like(parameter).copy_(state.slots[f"momentum_buffer/{name}"])
                optimizer.state[parameter]["momentum_buffer"] = slot.clone()

    print(f"{network}: {path.stat().st_size / 1e6:.1f} MB")
    for name, checked, unchecked in (
        ("read", lambda: load_state(path), lambda: raw(path)),
        ("write", lambda: save_state(state, path), lambda: _write(tensors, folder / "raw")),
        ("put into network and optimizer", put, put_unchecked),
    ):
        print(f"  {name}: {best(rounds, checked):.2f} ms, {best(rounds, unchecked):.2f} unchecked")


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file(tensors, path)
    with open(path, "rb") as file:  # as ours is made to last
        os.fsync(file.fileno())


def of_trainings(count: int, folder: Path, rounds: int) -> None:
    """Measure and print what reading all their files once takes."""
    state, _ = state_of("small_cnn", (1, 8, 8))
    masks = {name: weight > 0 for name, weight in state.weights.items() if weight.dim() > 1}
    scores = {"accuracy": 0.9, "loss": 0.3}
    summary = {
        "network": "n", "data": {"dataset": "d"}, "seed": 0, "training_time": 15.0, "macs": 1,
        "training_steps": 1, "training_macs": 1, "metric": "accuracy",
        "scores": {"test": scores, "validation": scores},
    }  # fmt: skip
    facts = {"density": 0.5, "mask_density": 0.5, "kept": 1, "macs": 1}
    rows = pd.DataFrame({name: [0.1234567] * 15 for name in "abcdefgh"})
    made = [folder / f"results/t/seed{k}/dense" for k in range(count)]
    for place in made:
        save_state(state, place / "state.safetensors")
        save_masks(masks, place / "mask.safetensors")
        write_json(place / "summary.json", summary)
        write_json(place / "timing.json", {"seconds": 1.0})
        write_json(place / "mask.json", facts)
        write_table(rows, place / "metrics.csv")

    def checked() -> None:
        for place in made:
            load_state(place / "state.safetensors")
            load_masks(place / "mask.safetensors")
            records.read_summary(place / "summary.json")
            records.read_timing(place / "timing.json")
            records.read_mask_facts(place / "mask.json")
            read_table(place / "metrics.csv", ())

    def unchecked() -> None:
        for place in made:
            State(raw(place / "state.safetensors"), {})
            raw(place / "mask.safetensors")
            for name in ("summary", "timing", "mask"):
                json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
            pd.read_csv(place / "metrics.csv")

    took, without = best(rounds, checked), best(rounds, unchecked)
    print(f"{count} small trainings, {6 * count} files: {took:.0f} ms, {without:.0f} unchecked")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--trainings", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        of_a_state("vgg16", (3, 32, 32), Path(folder), arguments.rounds)
        of_a_state("small_cnn", (1, 8, 8), Path(folder), arguments.rounds)
        of_trainings(arguments.trainings, Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
