"""LeNet-300-100 on MNIST, seconds per epoch: this trainer, a bare loop, the usual DataLoader loop.

The three take turns in one process, on one thread, with the same batch size, network and optimizer.
CPU seconds of the process are printed (other work on the machine does not count), the median over
rounds. Without MNIST on disk, random images of the same shape are used and the header says so.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from turns import take_turns

from pruning.data import store
from pruning.data.batches import Batching
from pruning.data.prepare import prepare
from pruning.data.splits import Splits, load
from pruning.data.validation import Validation
from pruning.errors import PruningError
from pruning.models.config import NetworkConfig
from pruning.study.study import data_root
from pruning.training.classification import Classification
from pruning.training.loop import Run, train
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.schedules import StepDecay

BATCH = 128
RATE = 0.1


def mnist() -> tuple[Splits, torch.utils.data.Dataset, str]:
    """The prepared data, the per-sample torchvision data set, and what they are."""
    normalize = torchvision.transforms.Normalize((0.1307,), (0.3081,))
    transform = torchvision.transforms.Compose([torchvision.transforms.ToTensor(), normalize])
    with tempfile.TemporaryDirectory() as folder:
        try:
            data = prepare("mnist", "mnist", data_root(), {})
            per_sample = torchvision.datasets.MNIST(data_root(), transform=transform)
            what = "MNIST"
        except PruningError:
            random = np.random.default_rng(0)
            images = random.integers(0, 256, (60_000, 28, 28, 1), dtype=np.uint8)
            labels = random.integers(0, 10, 60_000)
            classes = tuple("0123456789")
            data = store.ImageData(
                "random", images, labels, images[:10], labels[:10], classes, "random"
            )
            per_sample = torchvision.datasets.FakeData(60_000, (1, 28, 28), 10, transform)
            what = "random images (no MNIST found; set PRUNING_DATA)"
        # Next to nothing to evaluate: the other loops do not evaluate at all.
        few = {"test_images": data.test_images[:10], "test_labels": data.test_labels[:10]}
        path = Path(folder, "data.safetensors")
        store.save(replace(data, **few), path)
        return load(path, Validation("test", 0.0)), per_sample, what


def network(fused: bool | None) -> tuple[nn.Module, torch.optim.Optimizer]:
    """LeNet-300-100 and its optimizer for the two loops that are not ours."""
    layers = [nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU()]
    module = nn.Sequential(*layers, nn.Linear(100, 10))
    settings = {"lr": RATE, "momentum": 0.9, "weight_decay": 1e-4, "fused": fused}
    return module, torch.optim.SGD(module.parameters(), **settings)


def plain_step(module: nn.Module, optimizer: torch.optim.Optimizer, x, y) -> None:  # noqa: ANN001
    """One training step with nothing around it."""
    optimizer.zero_grad()
    nn.functional.cross_entropy(module(x), y).backward()
    optimizer.step()


def trainer(data: Splits, masked: bool) -> Callable[[], None]:
    """An epoch of this project's trainer, dense or under masks of density 0.2."""
    recipe = Recipe(
        epochs=1,
        batches=Batching(BATCH),
        schedule=StepDecay(RATE),
        optimizer=OptimizerConfig("sgd", 1e-4, (), {"momentum": 0.9}),
    )
    task = Classification(data, NetworkConfig("lenet_300_100"), recipe)
    state = task.initial_state(0)
    if masked:
        from pruning.masks.weights import prune

        state = state.masked(prune(task, state, 0.2))
    steps = task.timeline.total_steps
    return lambda: train(task, state, Run(steps, lambda step: RATE, 0, ("bench",)))


def floor(data: Splits) -> Callable[[], None]:
    """An epoch over batches that were shuffled, converted and cut beforehand."""
    images = (data.train.images.float() / 255 - 0.1307) / 0.3081
    order = torch.randperm(len(images))
    steps = len(images) // BATCH
    batches = [
        (images[part].squeeze(-1).clone(), data.train.labels[part])
        for part in order[: steps * BATCH].split(BATCH)
    ]

    def epoch() -> None:
        module, optimizer = network(fused=True)  # as our trainer: a floor should be low
        for x, y in batches:
            plain_step(module, optimizer, x, y)

    return epoch


def data_loader(dataset: torch.utils.data.Dataset) -> Callable[[], None]:
    """An epoch through a per-sample data set and a DataLoader."""

    def epoch() -> None:
        module, optimizer = network(fused=None)  # torch's default, as people write it
        for x, y in DataLoader(dataset, BATCH, shuffle=True, drop_last=True):
            plain_step(module, optimizer, x, y)

    return epoch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    data, per_sample, what = mnist()
    loops = {
        "plain loop over pre-batched tensors (floor)": floor(data),
        "this trainer, dense": trainer(data, masked=False),
        "this trainer, masked to density 0.2": trainer(data, masked=True),
        "torchvision Dataset + DataLoader": data_loader(per_sample),
    }
    seconds = take_turns(loops, rounds)
    print(f"LeNet-300-100, batch {BATCH}, {what}, torch {torch.__version__}, 1 thread, "
          f"CPU seconds per epoch of {len(data.train):,} images, {rounds} rounds")  # fmt: skip
    base = statistics.median(next(iter(seconds.values())))
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(f"  {name:<46} {middle:7.2f}  (min {min(values):.2f}, max {max(values):.2f})"
              f"  {middle / base:6.2f}x floor")  # fmt: skip


if __name__ == "__main__":
    main()
