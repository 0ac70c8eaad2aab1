"""Training steps on a GPU: milliseconds by network and precision, and when processes share it.

Steps are those of the trainer, masks, batches of 128 and augmentation included, on random images of
CIFAR-10's shape. Precisions take turns in one process; then, at the last of them that was asked
for, so many processes train the first network at once.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pruning.data import store
from pruning.data.batching import Batching
from pruning.data.splits import Splits, load
from pruning.data.validation import Validation
from pruning.masks.weights import prune
from pruning.models.config import NetworkConfig
from pruning.training.callback import Callback
from pruning.training.classification import Classification
from pruning.training.loop import Run, train
from pruning.training.recipe import PRECISIONS, OptimizerConfig, Recipe
from pruning.training.schedules import StepDecay

IMAGES = 50_000
NETWORKS = ["resnet20", "resnet56", "vgg16", "densenet40", "wide_resnet28", "resnet18"]
BESIDE = (2, 4, 8)  # processes
SECONDS = 8  # that processes are counted for


def images(folder: Path) -> Splits:
    """Random images, on the GPU."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    labels = random.integers(0, 10, IMAGES)
    classes = tuple("0123456789")
    few = (pixels[:16], labels[:16])  # next to nothing to evaluate
    store.save(store.ImageData("random", pixels, labels, *few, classes, "random"), folder / "data")
    return load(folder / "data", Validation("test", 0.0), "cuda")


def task_of(data: Splits, network: str, precision: str) -> Classification:
    """What is trained."""
    recipe = Recipe(
        epochs=1,
        batches=Batching(128, crop_padding=4, flip=True),
        schedule=StepDecay(0.01),
        optimizer=OptimizerConfig("sgd", 1e-4, (), {"momentum": 0.9}),
        precision=precision,
    )
    return Classification(data, NetworkConfig(network), recipe, name=network)


def seconds_per_step(task: Classification, steps: int) -> float:
    """Of a training that is under way, masked to density 0.2."""
    state = task.initial_state(0)
    state = state.masked(prune(task, state, 0.2))
    marks: list[float] = []
    warm = steps // 4

    class Timing(Callback):
        def after_step(self, module, optimizer, step) -> None:  # noqa: ANN001
            if step in (warm, warm + steps):
                torch.cuda.synchronize()
                marks.append(time.perf_counter())

    total = warm + steps + 1
    run = Run(total, lambda step: 0.01, 0, ("bench",), epoch_ends=(total,))
    train(task, state, run, callback=Timing())
    return (marks[1] - marks[0]) / steps


def trained_by(processes: int, network: str, precision: str) -> float:
    """Steps per second of so many processes together, each with a training of its own."""
    command = [sys.executable, __file__, "--count", network, precision]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(processes)
    ]
    for process in running:
        process.stdout.readline()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in running)


def count(network: str, precision: str) -> None:
    """One of these processes: says when it is warm, waits, trains for a while, says how fast."""

    class Counting(Callback):
        steps, until = 0, None

        def after_step(self, module, optimizer, step) -> None:  # noqa: ANN001
            if step == 30:
                torch.cuda.synchronize()
                print("ready", flush=True)
                sys.stdin.readline()
                self.until = time.perf_counter() + SECONDS
            if self.until is None or step <= 30:
                return
            torch.cuda.synchronize()  # or steps would be counted that are only waiting
            if time.perf_counter() > self.until:
                raise StopIteration
            self.steps += 1

    torch.set_num_threads(1)
    counting = Counting()
    with tempfile.TemporaryDirectory() as folder:
        task = task_of(images(Path(folder)), network, precision)
        run = Run(10**6, lambda step: 0.01, 0, ("bench",), epoch_ends=(10**6,))
        try:
            train(task, task.initial_state(0), run, callback=counting)
        except StopIteration:
            print(counting.steps / SECONDS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--count", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        print("gpu_step_time: torch sees no GPU, nothing is measured.")
        return
    if given.count:
        count(*given.count)
        return
    torch.set_num_threads(1)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; milliseconds per step of "
          f"128 images 32x32, median of {given.rounds} rounds of {given.steps} steps")  # fmt: skip
    print(f"  {'':<16}" + "".join(f"{name:>12}" for name in given.precisions))
    with tempfile.TemporaryDirectory() as folder:
        data = images(Path(folder))
        for network in given.networks:
            task = task_of(data, network, "float32")
            found: dict[str, list[float]] = {name: [] for name in given.precisions}
            for _ in range(given.rounds):
                for name in given.precisions:
                    recipe = replace(task.recipe, precision=name)
                    found[name].append(seconds_per_step(replace(task, recipe=recipe), given.steps))
            cells = (f"{1e3 * statistics.median(values):12.2f}" for values in found.values())
            print(f"  {network:<16}" + "".join(cells), flush=True)
    network, precision = given.networks[0], given.precisions[-1]
    for processes in (1, *BESIDE):
        together = trained_by(processes, network, precision)
        print(f"  {network}, {precision}, {processes} processes: {together:.0f} steps per second "
              "together", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
