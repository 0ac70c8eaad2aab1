"""A training step of networks that lost channels beside one of the networks they were.

Milliseconds of CPU time of a whole step, as the training loop makes it, and the memory that it
takes at most, of a process of its own. The networks and the channels that are left are those that
the authors of PruneTrain recorded for VGG on CIFAR-10 (reference, section 5.3); which of a layer's
channels they are takes no time, so they are its first. ``--state`` measures a network of your own,
the folder of a training, beside the same as its code builds it.

The penalty's own share is the difference of ``dense, with penalty`` to ``dense``.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from turns import take_turns

from pruning.models import shape
from pruning.models.build import NetworkConfig, build
from pruning.models.channels import follow
from pruning.models.shape import cuts
from pruning.systems.prunetrain.penalty import add_gradient, groups_of
from pruning.training import optimizers
from pruning.training.optimizers import OptimizerConfig
from pruning.training.state import capture

RGB32 = (3, 32, 32)
OPTIMIZER = OptimizerConfig("sgd", 5e-4, options={"momentum": 0.9})
LEFT = {
    ("vgg8", 0.2): (32, 86, 188, 229, 79),
    ("vgg11", 0.2): (35, 105, 210, 220, 237, 109, 25, 31),
}


class Training:
    """Some steps of a network on random images."""

    def __init__(self, module: nn.Module, images: tuple[int, ...], given: argparse.Namespace,
                 penalized: bool = False) -> None:  # fmt: skip
        self.steps, self.strength = given.steps, 1e-4
        channels = follow(module, (torch.ones(1, *images),))
        self.module = module.train().to(given.device).to(memory_format=torch.channels_last)
        self.optimizer = optimizers.make(OPTIMIZER, self.module)
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-4
        self.groups = groups_of(self.module, channels) if penalized else None
        source = torch.Generator().manual_seed(0)
        x = torch.randn(given.batch, *images, generator=source)
        self.images = x.to(given.device, memory_format=torch.channels_last)
        self.labels = torch.randint(10, (given.batch,), generator=source).to(given.device)

    def __call__(self) -> None:
        """Train for a turn."""
        for _ in range(self.steps):
            self.optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self.module(self.images), self.labels).backward()
            if self.groups is not None:
                add_gradient(self.groups, self.strength, 1e-8)
            self.optimizer.step()
        if self.images.is_cuda:
            torch.cuda.synchronize()


def recorded(name: str, widths: tuple[int, ...]) -> nn.Module:
    """A VGG whose convolutions keep so many channels each."""
    module = build(NetworkConfig(name), RGB32, 10, 0)
    channels = follow(module, (torch.ones(1, *RGB32),))
    kept = set(channels.fixed)
    convolutions = [n for n, m in module.named_modules() if isinstance(m, nn.Conv2d)]
    for layer, width in zip(convolutions, widths, strict=True):
        kept |= set(channels.layers[layer].outputs[:width])
    state = capture(module).cut(cuts(channels, kept))
    return shape.apply(module, state.shape)


def networks(given: argparse.Namespace) -> dict[str, Callable[[], Training]]:
    """Trainings by name, made when they are asked for."""
    found: dict[str, Callable[[], Training]] = {}
    if given.state is not None:
        from pruning.deploy.trained import load_trained

        trained = load_trained(given.state)
        size = tuple(trained.task.example()[0].shape[1:])
        chosen = [("", size, lambda: trained.task.build(0), "shrunk", lambda: trained.module)]
    else:
        chosen = [
            (f"{name}, ", RGB32, partial(build, NetworkConfig(name), RGB32, 10, 0),
             f"shrunk at {ratio}", partial(recorded, name, widths))
            for (name, ratio), widths in LEFT.items()
        ]  # fmt: skip
    for begin, size, dense, shrunk_name, shrunk in chosen:
        found |= {
            f"{begin}dense": partial(_training, dense, size, given, False),
            f"{begin}dense, with penalty": partial(_training, dense, size, given, True),
            f"{begin}{shrunk_name}": partial(_training, shrunk, size, given, False),
        }
    return found


def _training(
    make: Callable[[], nn.Module], size: tuple[int, ...], given: argparse.Namespace, penalized: bool
) -> Training:
    return Training(make(), size, given, penalized)


def _peak(name: str) -> float:
    """MiB that a process of its own takes at most for a few steps, above what it starts with."""
    run = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--alone", name],
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    return float(run.stdout)


def _alone(name: str, given: argparse.Namespace) -> None:
    make = networks(given)[name]
    before = _memory("VmRSS")
    make()()
    print(_memory("VmHWM") - before)


def _memory(what: str) -> float:
    """MiB of this process now (VmRSS) or at most so far (VmHWM); Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="in a turn")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--state", type=Path, help="folder of a training that shrank a network")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.alone:
        _alone(given.alone, given)
        return
    jobs = {name: make() for name, make in networks(given).items()}
    sizes = {n: sum(p.numel() for p in job.module.parameters()) for n, job in jobs.items()}
    times = take_turns(jobs, given.rounds)
    print(f"CPU ms per training step, torch {torch.__version__}, 1 thread, {given.rounds} rounds, "
          f"batch {given.batch}, {given.device}; MiB at most above the start")  # fmt: skip
    dense = None
    for name, seconds in times.items():
        milliseconds = [1e3 * s / given.steps for s in seconds]
        middle = statistics.median(milliseconds)
        dense = middle if name.endswith("dense") else dense
        print(f"  {name:<28} {sizes[name]:>10,} {middle:9.2f}  (min {min(milliseconds):.2f}, "
              f"max {max(milliseconds):.2f})  {middle / dense:5.2f}x  {_peak(name):7.1f} MiB"
              )  # fmt: skip


if __name__ == "__main__":
    main()
