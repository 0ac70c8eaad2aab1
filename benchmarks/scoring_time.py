"""Seconds to score and select the weights of VGG-16 (14.7 million) once, on one thread.

Each method as the project's studies run it, all but magnitude in double precision: SNIP and GraSP
on 100 images of 32x32 pixels in one batch, SynFlow in 100 iterations, selection of 10 % included.
Images are random: what is in them takes no time. The methods take turns; the first round warms up.
"""

import argparse
import math
import os
import statistics
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from turns import take_turns

from pruning.data.splits import Split, Splits
from pruning.masks import mask as masking
from pruning.masks.weights import prune
from pruning.models.config import NetworkConfig
from pruning.systems.at_init.rules import METHODS
from pruning.training.classification import Classification
from pruning.training.recipe import Recipe

METHODS_TIMED = ("magnitude", "snip", "grasp", "synflow")
# Seconds that were asked for; GraSP had 10 before it scored in double precision, where masks are
# the same on every machine.
LIMITS = {"snip": 10, "grasp": 40, "synflow": 60}
DENSITY = 0.1


def task() -> Classification:
    """VGG-16 as Frankle et al. (2021) have it, and 100 random images."""
    images = torch.randint(256, (100, 32, 32, 3), dtype=torch.uint8)
    train = Split(images, torch.arange(100) % 10)
    nothing = Split(images[:0], train.labels[:0])
    classes, middle = tuple("0123456789"), (127.5,) * 3
    data = Splits("random", classes, train, nothing, nothing, middle, (74.0,) * 3, {})
    network = NetworkConfig(
        "vgg16", "kaiming_normal_uniform_scale", {"conv_bias": True, "last_pool": "average"}
    )
    recipe = {"epochs": 1, "batches": {"size": 128}, "schedule": {"learning_rate": 0.1}}
    return Classification(data, network, Recipe.from_dict(recipe))


def scoring(what: Classification, name: str) -> Callable[[], None]:
    """One pruning of a fresh network by a method."""
    state, row = what.initial_state(0), METHODS[name]
    selection = dict(iterations=row.iterations)

    def once() -> None:
        masks = prune(what, state, DENSITY, score=row.score, **selection)
        kept, total = masking.counts(masks)
        assert kept == masking.kept_count(DENSITY, total)

    return once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    what = task()
    jobs = {name: scoring(what, name) for name in METHODS_TIMED}
    seconds = take_turns(jobs, rounds, cold={"synflow"})
    print(f"VGG-16, score and select {DENSITY:.0%}, torch {torch.__version__}, 1 thread, "
          f"CPU seconds, {rounds} rounds")  # fmt: skip
    for name, values in seconds.items():
        limit = f"  wanted: under {LIMITS[name]} s" if name in LIMITS else ""
        limit += ", MISSED" if statistics.median(values) > LIMITS.get(name, math.inf) else ""
        print(f"  {name:<12} {statistics.median(values):7.2f}  "
              f"(min {min(values):.2f}, max {max(values):.2f}){limit}")  # fmt: skip


if __name__ == "__main__":
    main()
