"""A training step by GSM beside one by torch's SGD, and beside picking Q by a plain top-k.

Milliseconds of CPU time of a whole step: forward, backward, update. The optimizers take turns in
one process on one thread; the first round warms up. Images are random: what is in them takes no
time.
"""

import argparse
import os
import statistics
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from turns import take_turns

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.systems.gsm.method import GSM

# (network, shape, batch, density, steps in a turn, what a step may cost of SGD's)
CASES = (
    ("lenet_300_100", (1, 28, 28), 256, 1 / 60, 100, 1.5),
    ("lenet_5", (1, 28, 28), 256, 1 / 300, 10, None),
    ("resnet20", (3, 32, 32), 64, 0.1, 5, 1.2),
)
SETTINGS = {"lr": 1e-4, "momentum": 0.99, "weight_decay": 5e-4, "fused": True}


class TopK(GSM):
    """GSM with the threshold as one would write it down first."""

    def _silence_passive(self) -> None:
        weights = self._ranked()
        products = torch.cat([(w * w.grad).abs().flatten() for w in weights])
        limit = products.topk(self.active_count()).values[-1]
        for weight in weights:
            weight.grad.mul_((weight * weight.grad).abs() >= limit)


def training(name: str, shape: tuple, batch: int, steps: int, make: Callable) -> Callable[[], None]:
    """Some steps of a fresh network."""
    module = build(NetworkConfig(name), shape, 10, 0).to(memory_format=torch.channels_last)
    optimizer = make(module.parameters())
    source = torch.Generator().manual_seed(0)
    images = torch.randn(batch, *shape, generator=source).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,), generator=source)

    def turn() -> None:
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(module(images), labels).backward()
            optimizer.step()

    return turn


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"CPU ms per training step, torch {torch.__version__}, 1 thread, {rounds} rounds")
    for name, shape, batch, density, steps, most in CASES:
        optimizers = {
            "SGD": lambda p: torch.optim.SGD(p, **SETTINGS),
            "GSM": lambda p, d=density: GSM(p, density=d, **SETTINGS),
            "GSM by top-k": lambda p, d=density: TopK(p, density=d, **SETTINGS),
        }
        jobs = {k: training(name, shape, batch, steps, make) for k, make in optimizers.items()}
        times = {k: [1e3 * s / steps for s in v] for k, v in take_turns(jobs, rounds).items()}
        middle = {k: statistics.median(values) for k, values in times.items()}
        print(f"  {name}, batch {batch}, density {density:.4f}")
        for key, values in times.items():
            factor = middle[key] / middle["SGD"]
            limit = ""
            if key == "GSM" and most is not None:
                limit = f"  wanted: at most {most}x" + (", MISSED" if factor > most else "")
            print(f"    {key:<13} {middle[key]:8.2f}  (min {min(values):.2f}, "
                  f"max {max(values):.2f})  {factor:5.2f}x{limit}")  # fmt: skip


if __name__ == "__main__":
    main()
