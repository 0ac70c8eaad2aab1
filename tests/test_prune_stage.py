"""The stage that cuts masks."""

import pytest
import torch

from pruning.data import splits
from pruning.errors import PruningError
from pruning.files import read_json
from pruning.masks.shuffled import shuffle_layerwise
from pruning.stages.context import StageContext
from pruning.stages.prune import prune
from pruning.training.checkpoint import load_masks, save_state

RECIPE = {
    "epochs": 1,
    "batches": {"size": 64},
    "schedule": {"learning_rate": 0.1},
}


@pytest.fixture
def cut(digits_file, make_task, tmp_path):
    """Prune a network drawn from a seed; the mask file."""
    task = {
        "kind": "classification",
        "network": {"name": "small_cnn"},
        "recipe": RECIPE,
        "exempt": [],
        "validation": {"source": "test", "fraction": 0.2},
    }
    context = StageContext("tiny", 0, task, "code")
    state = tmp_path / "state.safetensors"
    save_state(make_task("small_cnn").initial_state(0), state)

    def cut(masks=None, **pruning):
        output = tmp_path / pruning["kind"] / "mask.safetensors"
        pruned = {"state": state} if masks is None else {"state": None, "masks": masks}
        how = {"level": 1, "chain": "any", "pruning": pruning}
        prune(context, digits_file, **pruned, output=output, **how)
        return output

    return cut


@pytest.fixture
def unreadable(monkeypatch):
    def read(path, header):
        raise PruningError("the images were looked at")

    monkeypatch.setattr(splits, "_read", read)


@pytest.mark.parametrize(
    "pruning",
    [
        {"kind": "weights", "score": "magnitude", "density": 0.25},
        {"kind": "weights", "score": "random", "density": 0.25},
        {"kind": "weights", "score": "synflow", "density": 0.25, "iterations": 3},
        {"kind": "filters", "thinnings": [{"convs": [1], "fraction": 0.5}], "level": 1},
    ],
    ids=lambda pruning: pruning.get("score", pruning["kind"]),
)
def test_what_looks_at_weights_alone_reads_no_images(cut, unreadable, pruning):
    mask = cut(**pruning)
    told = read_json(mask.with_suffix(".json"))
    assert told["kept"] == sum(int(kept.sum()) for kept in load_masks(mask).values())
    assert told["data"]["images"] == {"train": 1352, "validation": 89, "test": 356}


def test_a_score_of_gradients_reads_them(cut, unreadable):
    with pytest.raises(PruningError, match="the images were looked at"):
        cut(kind="weights", score="snip", density=0.25)


def test_a_shuffle_permutes_a_mask_file_and_scores_nothing(cut, unreadable, monkeypatch):
    plain = cut(kind="weights", score="random", density=0.25)
    monkeypatch.setattr("pruning.masks.weights._scores", None)
    shuffled = cut(plain, kind="shuffled", density=0.25)
    before, after = load_masks(plain), load_masks(shuffled)
    expected = shuffle_layerwise(before, 0, "any", 1)
    assert after.keys() == before.keys()
    for name, mask in after.items():
        assert torch.equal(mask, expected[name])
        assert mask.sum() == before[name].sum()
        assert not torch.equal(mask, before[name])
    told, same = (read_json(path.with_suffix(".json")) for path in (shuffled, plain))
    facts = ("density", "mask_density", "kept", "prunable", "macs")
    assert [told[key] for key in facts] == [same[key] for key in facts]
    assert told["parents"]["masks"]["path"] == str(plain)
    assert told["score_options"] == {}
