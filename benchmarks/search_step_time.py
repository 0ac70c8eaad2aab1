"""A step of a search for a subnetwork beside a step of ordinary training.

Milliseconds of CPU time of a whole step, as the training loop makes it: forward, backward, update,
and what the search's callback does before and after the update. They take turns in one process on
one thread; the first round warms up. Images are random: what is in them takes no time. Events, once
in several epochs, are measured by themselves.
"""

import argparse
import os
import statistics
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import nn
from turns import take_turns

from pruning.models.build import NetworkConfig, build, prunable_names
from pruning.systems.gem_miner.method import searching
from pruning.systems.gem_miner.rules import Search
from pruning.training import optimizers
from pruning.training.callback import Callback
from pruning.training.optimizers import OptimizerConfig
from pruning.training.state import capture, load_into

NETWORK = NetworkConfig(
    "resnet20",
    "signed_constant",
    {"shortcut": "identity", "norm_affine": False, "classifier_bias": False},
)
SHAPE, EPOCHS = (3, 32, 32), 150
OPTIMIZER = OptimizerConfig("sgd", options={"momentum": 0.9})
# What a step may cost of an ordinary one.
WANTED = {"gem_miner": 1.6}
SEARCHES = {
    "gem_miner": Search("gem_miner", 0.0144, strength=1e-4),
    "edge_popup": Search("edge_popup", 0.0144),
    "global_edge_popup_gradual": Search("global_edge_popup_gradual", 0.0144),
}


class Training:
    """Some steps of a fresh network, as the training loop makes them."""

    def __init__(self, search: Search | None, batch: int, steps: int, device: str) -> None:
        self.module, self.steps = build(NETWORK, SHAPE, 10, 0), steps
        self.callback: Callback | None = None
        state = capture(self.module)
        if search is not None:
            names = prunable_names(self.module)
            self.callback = searching(search, names, EPOCHS)
            state = self.callback.start(state, 0)
            self.module = self.callback.adapt(self.module)
        self.module = self.module.to(device).to(memory_format=torch.channels_last)
        load_into(self.module, state)
        self.optimizer = optimizers.make(OPTIMIZER, self.module)
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-4
        source = torch.Generator().manual_seed(0)
        images = torch.randn(batch, *SHAPE, generator=source)
        self.images = images.to(device, memory_format=torch.channels_last)
        self.labels = torch.randint(10, (batch,), generator=source).to(device)

    def __call__(self) -> None:
        """Train for a turn."""
        for step in range(self.steps):
            self.optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(self.module(self.images), self.labels).backward()
            if self.callback is not None:
                self.callback.before_step(self.module, self.optimizer, step)
            self.optimizer.step()
            if self.callback is not None:
                self.callback.after_step(self.module, self.optimizer, step)
        if self.images.is_cuda:
            torch.cuda.synchronize()

    def event(self) -> None:
        """What happens at the end of an epoch that freezes weights."""
        self.callback.epoch = self.callback.search.period
        self.callback.end_epoch(self.module, self.optimizer)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="in a turn")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    jobs: dict[str, Callable[[], None]] = {
        "ordinary": Training(None, given.batch, given.steps, given.device)
    }
    for name, search in SEARCHES.items():
        jobs[name] = Training(search, given.batch, given.steps, given.device)
    times = take_turns(jobs, given.rounds)
    times = {k: [1e3 * s / given.steps for s in v] for k, v in times.items()}
    events = take_turns({k: jobs[k].event for k in SEARCHES if k != "edge_popup"}, given.rounds)
    middle = {k: statistics.median(values) for k, values in times.items()}
    print(f"CPU ms per training step, torch {torch.__version__}, 1 thread, {given.rounds} rounds, "
          f"ResNet-20, batch {given.batch}, {given.device}")  # fmt: skip
    for name, values in times.items():
        factor, most = middle[name] / middle["ordinary"], WANTED.get(name)
        limit = "" if most is None else f"  wanted: at most {most}x"
        limit += ", MISSED" if most is not None and factor > most else ""
        print(f"  {name:<26} {middle[name]:8.2f}  (min {min(values):.2f}, max {max(values):.2f})"
              f"  {factor:5.2f}x{limit}")  # fmt: skip
    for name, values in events.items():
        print(f"  {name:<26} {1e3 * statistics.median(values):8.2f}  an event")


if __name__ == "__main__":
    main()
