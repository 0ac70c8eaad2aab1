"""Tensors that a network divides by: masks that empty them are refused before anything trains."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from pruning.errors import PruningError
from pruning.masks.weights import prune
from pruning.models.divisors import divisors, refuse_empty
from pruning.models.gnmt import gnmt
from pruning.stages.context import StageContext
from pruning.stages.prune import prune as prune_stage
from pruning.training.checkpoint import save_masks
from pruning.training.pruned import train_pruned
from tests.test_own_networks import NETWORKS, task_of

NAME = "inner.direction"


@pytest.fixture
def task():
    return task_of("Divided", also_prunable=(NAME,))


@pytest.fixture
def start(task):
    """A state whose divisor is the smallest of all."""
    state = task.initial_state(0)
    return replace(state, weights=state.weights | {NAME: torch.full((8,), 1e-6)})


def empty(masks):
    return masks | {NAME: torch.zeros(8, dtype=torch.bool)}


@pytest.mark.parametrize("iterations", [1, 3])
def test_no_pruning_empties_one(task, start, iterations):
    with pytest.raises(PruningError, match=f"nothing of {NAME}, and the network divides by the"):
        prune(task, start, 0.1, iterations=iterations)
    assert prune(task, start, 0.99)[NAME].any()
    assert NAME not in prune(task_of("Divided"), start, 0.1)  # it is not prunable there


def test_nothing_trains_with_masks_that_empty_one(task, start):
    masks = prune(task, start, 0.99)
    assert train_pruned(task, masks, start).metrics
    with pytest.raises(PruningError, match=f"{NAME}.*Prune less, list it under `exempt`"):
        train_pruned(task, empty(masks), start)


def test_no_stage_writes_masks_that_empty_one(task, start, tmp_path, monkeypatch):
    """Whatever the pruner: this one hands on the masks that it is given."""
    monkeypatch.setattr(StageContext, "load_task", lambda *_: task)
    given, output = tmp_path / "given", tmp_path / "masks.safetensors"
    save_masks(empty(prune(task, start, 0.99)), given)
    context = StageContext("own", 0, {"network": {"name": f"{NETWORKS}:Divided"}}, "code")
    how = {"level": 1, "chain": "any", "pruning": {"kind": "shuffled", "density": 0.9}}
    with pytest.raises(PruningError, match=f"nothing of {NAME}"):
        prune_stage(context, tmp_path, None, output, masks=given, **how)
    assert not output.exists()


def test_modules_name_their_own(task):
    module = task.build()
    assert divisors(module) == [NAME]
    assert divisors(nn.Sequential(module, module)) == [f"0.{NAME}"]
    assert divisors(task_of("Raw").build()) == []
    parametrize.register_parametrization(module.inner, "direction", nn.Tanh())
    assert divisors(module) == [NAME]
    module = task.build()
    module.inner.divides_by = lambda: ["directoin"]
    with pytest.raises(PruningError, match="Unknown tensor 'directoin'.*Did you mean 'direction'"):
        divisors(module)


def test_the_attentions_v_is_one():
    with torch.device("meta"):
        module = gnmt(20, 30, hidden=8)
    assert divisors(module) == ["attention.v.weight"]
    masks = {"attention.v.weight": torch.zeros(1, 8, dtype=torch.bool)}
    with pytest.raises(PruningError, match=r"nothing of attention\.v\.weight"):
        refuse_empty(module, masks)
    masks["attention.v.weight"][0, 3] = True
    refuse_empty(module, masks)
