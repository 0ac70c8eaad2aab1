"""Algorithm 1: when it ends, and what it hands over."""

import json

import pandas as pd
import pytest
import torch

from pruning.errors import PruningError
from pruning.systems.rewinding.algorithm import judge, matches, sparsest
from pruning.systems.rewinding.stages.algorithm import hand_over, judge_level, tabulate, write_way
from pruning.training.checkpoint import load_masks, load_state, save_masks, save_state
from pruning.training.state import State


def summary(level, validation, test=0.5):
    scores = {"validation": {"accuracy": validation}, "test": {"accuracy": test}}
    told = {"network": "n", "data": {"dataset": "d"}, "training_time": 1.0, "macs": 1}
    told |= {"training_steps": 1, "training_macs": 1, "metric": "accuracy", "scores": scores}
    return told | {"level": level, "density": 0.8**level, "seed": 3}


@pytest.mark.parametrize(
    ("validation", "expected"), [(0.95, True), (0.90, True), (0.895, True), (0.8949, False)]
)
def test_a_level_matches_within_the_tolerance(validation, expected):
    judged = judge(summary(0, 0.90, 0.1), summary(2, validation, 0.9))
    assert matches(judged, tolerance=0.5) == expected
    assert judged["change"] == pytest.approx(100 * (validation - 0.90))
    assert (judged["dense_test"], judged["pruned_test"]) == (10, 90)
    assert (judged["dense_validation"], judged["level"]) == (90, 2)


def test_test_accuracy_decides_nothing():
    assert matches(judge(summary(0, 0.9, 1.0), summary(1, 0.9, 0.0)), 0.0)


def test_without_validation_images_it_says_so():
    with pytest.raises(PruningError, match="no validation data"):
        judge(summary(0, float("nan")), summary(1, 0.9))


@pytest.mark.parametrize(
    ("found", "level"), [([1, 1, 0], 2), ([0], 0), ([1, 1, 1], 3), ([1, 0, 1], 1)]
)
def test_the_sparsest_is_the_last_before_the_first_that_fails(found, level):
    assert sparsest([{"matches": bool(m)} for m in found]) == level


@pytest.fixture
def folders(tmp_path):
    """A dense training and two levels, the second of which does not match."""
    masks = {"w": torch.tensor([True, False, True])}
    state = State({"w": torch.tensor([1.0, 2.0, 3.0])}, {})
    found = []
    for level, validation in ((0, 0.9), (1, 0.9), (2, 0.7)):
        folder = tmp_path / f"level{level}"
        folder.mkdir()
        cell = summary(level, validation, 0.8)
        if level == 0:
            del cell["level"], cell["density"]
        (folder / "summary.json").write_text(json.dumps(cell))
        save_state(state.masked(masks) if level else state, folder / "state.safetensors")
        found.append(folder)
    save_masks(masks, tmp_path / "mask1.safetensors")
    return found


def way(tmp_path, folders, tolerance):
    judged = []
    for folder in folders[1:]:
        judged.append(folder / "judged.json")
        judge_level(folders[0] / "summary.json", folder / "summary.json", judged[-1])
    write_way(judged, tolerance, tmp_path / "way.json")
    return tmp_path / "way.json"


def test_the_network_its_mask_and_the_way_there_are_handed_over(tmp_path, folders):
    out = tmp_path / "out"
    hand_over(way(tmp_path, folders, 0.5), folders, tmp_path / "mask1.safetensors", out)
    assert load_masks(out / "mask.safetensors")["w"].tolist() == [True, False, True]
    assert load_state(out / "network.safetensors").weights["w"].tolist() == [1, 0, 3]
    assert pd.read_csv(out / "levels.csv")["matches"].tolist() == [True, False]
    result = json.loads((out / "result.json").read_text())
    assert (result["level"], result["compression_ratio"], result["levels_tried"]) == (1, 1.25, 2)
    assert result["ended"] == "the next level does not match"
    assert (result["dense_validation"], result["pruned_test"]) == (90, 80)
    assert result["network"] == str(folders[1] / "state.safetensors")
    tabulate([out / "result.json"], tmp_path / "all.csv")
    assert pd.read_csv(tmp_path / "all.csv")["seed"].tolist() == [3]


def test_where_every_level_matches_it_says_that_there_were_no_more(tmp_path, folders):
    out = tmp_path / "out"
    hand_over(way(tmp_path, folders, 20.1), folders, tmp_path / "mask1.safetensors", out)
    result = json.loads((out / "result.json").read_text())
    assert (result["level"], result["ended"]) == (2, "at the last level")


def test_where_no_level_matches_the_dense_network_is_handed_over(tmp_path, folders):
    out, worse = tmp_path / "out", [folders[0], folders[2]]
    hand_over(way(tmp_path, worse, 0.5), worse, tmp_path / "mask1.safetensors", out)
    assert load_masks(out / "mask.safetensors")["w"].all()
    result = json.loads((out / "result.json").read_text())
    assert (result["level"], result["density"]) == (0, 1.0)
