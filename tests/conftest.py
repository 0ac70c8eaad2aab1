"""Shared pieces: the digits on disk, and a task small enough to train in a test."""

import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch
from hypothesis import settings

from pruning.data.batches import Batching
from pruning.data.splits import load
from pruning.models.config import NetworkConfig
from pruning.stages.prepare_data import prepare_data
from pruning.training.classification import Classification
from pruning.training.recipe import OptimizerConfig, Recipe
from pruning.training.schedules import StepDecay

# No test asserts a time, and hypothesis would.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

REPOSITORY = Path(__file__).parents[1]
SCHEMAS = REPOSITORY / "workflow" / "schemas"


# Files, from this folder, whose tests run Snakemake or train for long: left out of `make check`.
SLOW = (
    "cluster",
    "workflow",
    "systems/at_init/test_anchors.py",
    "systems/at_init/test_figures.py",
    "systems/at_init/test_other_scores.py",
    "systems/gem_miner/test_figures.py",
    "systems/gem_miner/test_search.py",
    "systems/gem_miner/test_stages.py",
    "systems/gsm/test_digits.py",
    "systems/gsm/test_other_scores.py",
    "systems/gsm/test_figures.py",
    "systems/gsm/test_method.py",
    "systems/rewinding/test_other_scores.py",
    "systems/rewinding/test_published.py",
    "test_extensions.py",
    "test_figures.py",
    "test_jobs.py",
    "test_packaging.py",
    "test_paths.py",
    "test_scores.py",
    "test_seams.py",
    "test_selection.py",
    "test_torchvision.py",
)


def pytest_collection_modifyitems(items):
    slow = tuple(Path(__file__).parent / name for name in SLOW)
    for item in items:
        if any(item.path.is_relative_to(place) for place in slow):
            item.add_marker(pytest.mark.slow)
    # Workers take files in this order, and end together where the short ones are the last.
    workflow = Path(__file__).parent / "workflow"
    items.sort(
        key=lambda item: (
            not item.path.is_relative_to(workflow),
            item.get_closest_marker("slow") is None,
        )
    )


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory):
    """The digits, prepared."""
    path = tmp_path_factory.mktemp("data") / "digits.safetensors"
    prepare_data("digits", {"kind": "digits"}, path.parent, path)
    return path


@pytest.fixture(scope="session")
def digits(digits_file):
    """The digits, split."""
    return load(digits_file)


@pytest.fixture
def make_task(digits):
    """A function that makes small tasks on the digits."""
    return partial(small_task, digits)


def small_task(
    data,
    network="mlp",
    options=None,
    epochs=4,
    milestones=(2, 3),
    optimizer=None,
    learning_rate=0.1,
    batches=None,
    **recipe,
):
    if options is None:
        options = {"widths": [24]} if network == "mlp" else {}
    named = isinstance(network, str)
    return Classification(
        data=data,
        network=NetworkConfig(network, "kaiming_normal", options) if named else network,
        recipe=Recipe(
            epochs=epochs,
            batches=batches or Batching(64),
            schedule=StepDecay(learning_rate, milestones),
            optimizer=optimizer or OptimizerConfig("sgd", 5e-4, (), {"momentum": 0.9}),
            **recipe,
        ),
        name="test task",
    )


def assert_same_state(first, second):
    """Bit equality of weights, buffers, slots, masks and step."""
    assert first.step == second.step
    for group in ("weights", "buffers", "slots", "masks"):
        a, b = getattr(first, group), getattr(second, group)
        assert a.keys() == b.keys(), group
        for name in a:
            assert torch.equal(a[name], b[name]), f"{group} {name}"


def inside(inner, outer, slack=1.0):
    """Whether a box of a figure lies within another, but for so many pixels."""
    return (
        inner.x0 >= outer.x0 - slack
        and inner.x1 <= outer.x1 + slack
        and inner.y0 >= outer.y0 - slack
        and inner.y1 <= outer.y1 + slack
    )
