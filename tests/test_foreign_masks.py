"""Masks of other tools: taken where they hold 0 and 1, refused by name where they do not."""

import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import prune as torch_prune

import pruning
from pruning.masks.mask import counts, density, select, taken
from pruning.systems.rewinding.rules import RULES
from pruning.training.checkpoint import load_masks, load_state, save_masks, save_state
from pruning.training.pruned import train_pruned
from pruning.training.state import State, capture
from tests.conftest import assert_same_state

KINDS = [
    torch.float8_e4m3fn,
    torch.float32,
    torch.float64,
    torch.float16,
    torch.uint8,
    torch.int64,
    torch.int8,
]


@pytest.fixture
def task(make_task):
    return make_task(epochs=1, milestones=())


def pruned_by_torch(module):
    """Half of every linear layer's weights, by torch; the module keeps weight_orig, weight_mask."""
    module = copy.deepcopy(module)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            torch_prune.l1_unstructured(layer, "weight", amount=0.5)
    return module


def own_masks(task, state):
    return pruning.prune(task, state, 0.5)


@pytest.mark.parametrize("named", [True, False], ids=["buffers", "weights"])
def test_masks_of_torch_train_as_ours_do(task, named):
    state = task.initial_state(0, "dense")
    module = task.build()
    module.load_state_dict(dict(state.weights), strict=True)
    theirs = {
        name if named else name.removesuffix("_mask"): mask
        for name, mask in pruned_by_torch(module).named_buffers()
    }
    assert all(mask.dtype == torch.float32 for mask in theirs.values())
    ours = {name.removesuffix("_mask"): mask.bool() for name, mask in theirs.items()}
    assert ours.keys() == set(task.prunable())
    assert density(theirs) == density(ours) == pytest.approx(0.5, abs=1e-3)
    rule = RULES["lr_rewind"]
    for train in (
        lambda m: train_pruned(task, m, state),
        lambda m: pruning.retrain(task, rule, masks=m, retrain_time=1, final=state),
    ):
        first, second = train(ours).state, train(theirs).state
        assert_same_state(first, second)
        assert counts(second.masks)[0] == sum(int(mask.sum()) for mask in theirs.values())
    assert_same_state(state.masked(theirs), state.masked(ours))
    # Going on from such a state: what is masked stays so.
    again = pruning.prune(task, State(state.weights, state.buffers, masks=theirs), 0.2)
    assert all((again[name] <= ours[name]).all() for name in ours)
    assert density(again) == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_numbers_are_taken_whatever_their_type(kind):
    mask = torch.tensor([[1, 0, 1], [0, 0, 1]])
    found = taken({"fc.weight": mask.to(kind)})["fc.weight"]
    assert found.dtype == torch.bool
    assert torch.equal(found, mask.bool())
    assert density({"fc.weight": mask.to(kind)}) == 0.5
    if kind == torch.float32:
        sparse = taken({"fc.weight": mask.to(kind).to_sparse()})["fc.weight"]
        assert torch.equal(sparse, found)
    array = taken({"fc.weight": mask.numpy().astype("f4")})["fc.weight"]
    assert torch.equal(array, found)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (0.5, "holds 0.5"),
        (-1, "holds -1"),
        (2, "holds 2"),
        (255, "holds 255"),
        (1e-9, "holds 1e-09"),
        (float("nan"), "holds nan"),
        (float("inf"), "holds inf"),
    ],
)
@pytest.mark.parametrize("where", ["density", "masked", "state", "save", "load", "within"])
def test_other_values_are_refused_by_name_wherever_masks_are_taken(tmp_path, wrong, said, where):
    masks = {"fc.weight": torch.tensor([1.0, 0.0, wrong])}
    state = State({"fc.weight": torch.ones(3)}, {})
    save_file(masks, tmp_path / "m.safetensors")
    take = {
        "density": lambda: density(masks),
        "masked": lambda: state.masked(masks),
        "state": lambda: State(state.weights, {}, masks=masks),
        "save": lambda: save_masks(masks, tmp_path / "own"),
        "load": lambda: load_masks(tmp_path / "m.safetensors"),
        "within": lambda: select({"fc.weight": torch.rand(3)}, 0.5, within=masks),
    }[where]
    with pytest.raises(pruning.PruningError, match=f"mask of 'fc.weight' {said}. Masks hold 0 and"):
        take()
    assert not (tmp_path / "own").exists()


def test_what_is_no_tensor_or_does_not_fit_is_named():
    state = State({"fc.weight": torch.ones(2, 3)}, {})
    for masks, said in [
        ({"fc.weight": "all"}, "'fc.weight' is no tensor"),
        ({"fc.weigth": torch.ones(2, 3)}, "no such weight. Did you mean 'fc.weight'"),
        ({"fc.weight_mask_": torch.ones(2, 3)}, "no such weight"),
        ({"fc.weight": torch.ones(3, 2)}, r"it is \(3, 2\), the weight \(2, 3\)"),
        ({"fc.weight": torch.ones(2, 3), "fc.weight_mask": torch.ones(2, 3)}, "two masks"),
    ]:
        with pytest.raises(pruning.PruningError, match=said):
            state.masked(masks)


def test_a_weight_that_is_called_like_a_mask_keeps_its_name():
    state = State({"a": torch.ones(2), "a_mask": torch.ones(2)}, {})
    found = state.masked({"a_mask": np.array([1.0, 0.0])})
    assert list(found.masks) == ["a_mask"]
    assert found.weights["a"].tolist() == [1, 1]
    assert found.weights["a_mask"].tolist() == [1, 0]


def test_files_of_masks_go_round(tmp_path, task):
    ours = own_masks(task, task.initial_state(0, "dense"))
    pruning.save_masks({n: m.float() for n, m in ours.items()}, tmp_path / "own.safetensors")
    pruning.save_masks(ours, tmp_path / "same.safetensors")
    assert (tmp_path / "own.safetensors").read_bytes() == (
        tmp_path / "same.safetensors"
    ).read_bytes()
    for metadata in (None, {"format": "pt"}):
        theirs = tmp_path / "theirs.safetensors"
        save_file({n: m.to(torch.uint8) for n, m in ours.items()}, theirs, metadata=metadata)
        for path in (tmp_path / "own.safetensors", theirs):
            found = pruning.load_masks(path)
            assert found.keys() == ours.keys()
            assert all(torch.equal(found[name], ours[name]) for name in ours)


def test_other_files_are_no_masks(tmp_path, task):
    save_state(task.initial_state(0, "dense"), tmp_path / "state")
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "pickle")
    save_file({}, tmp_path / "empty")
    for name, said in [
        ("state", "is not a mask file"),
        ("pickle", "no safetensors"),
        ("empty", "is not a mask file"),
        ("missing", "does not exist"),
    ]:
        with pytest.raises(pruning.PruningError, match=f"{name}.*{said}"):
            load_masks(tmp_path / name)
    with pytest.raises(pruning.PruningError, match="is not a state file"):
        load_state(tmp_path / "empty")


def test_masks_of_a_search_within():
    scores = {"a": torch.tensor([3.0, 2.0, 1.0, 0.0])}
    within = {"a_mask": torch.tensor([0, 1, 1, 1])}
    assert select(scores, 0.5, within=within)["a"].tolist() == [False, True, True, False]
    with pytest.raises(pruning.PruningError, match="no mask of 'a'"):
        select(scores, 0.5, within={})


def test_a_captured_state_has_no_masks():
    assert capture(nn.Linear(2, 2)).masks == {}
