"""The stages one after the other, as rules call them: two levels that differ in all settings."""

import os
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import yaml

from pruning.analysis.tidy import collect
from pruning.files import read_json
from pruning.masks import mask as masking
from pruning.masks.report import report
from pruning.registry import load
from pruning.seeds import generator
from pruning.stages.context import StageContext
from pruning.stages.prepare_data import prepare_data
from pruning.stages.prune import prune
from pruning.stages.report import report as report_stage
from pruning.study import places as ground
from pruning.study.asks import Workflow
from pruning.systems.gem_miner import places, states
from pruning.systems.gem_miner.section import Cell
from pruning.training.checkpoint import load_masks, load_state
from tests.conftest import REPOSITORY, SCHEMAS

BATCHES = {"size": 64}
RECIPE = {
    "epochs": 6,
    "batches": BATCHES,
    "optimizer": {"options": {"momentum": 0.9}},
    "schedule": {"shape": "cosine", "learning_rate": 1.0},
}
# Trains next to nothing: what comes out of it is what went in.
STILL = {"epochs": 1, "batches": BATCHES, "schedule": {"learning_rate": 1e-12}}
STUDY = {
    "title": "Levels",
    "dataset": "digits",
    "network": {"name": "small_cnn", "options": {"norm_affine": False, "bias": False}},
    "seeds": [3],
    "recipe": STILL,
    "gem_miner": {
        "methods": ["gem_miner", "edge_popup"],
        "densities": [0.6, 0.2],
        "search": RECIPE,
        "finetune": STILL,
        "period": 1,
        "strengths": {"gem_miner": [2e-3, 1e-3]},
        "unflag": [False, True],
        "variants": ["unmodified", "shuffled", "reinitialized", "reinitialized_kaiming"],
        "settings_by_method": {"edge_popup": {"fan_share": [0.25, 0.81]}},
    },
}
LEVELS = (1, 2)


class Finished:
    """What the stages left of a study, in the folder ``root``."""

    def __init__(self, root):
        self.root, self.drawn = root, {}
        (root / "studies").mkdir()
        (root / "studies/levels.yaml").write_text(yaml.safe_dump(STUDY))
        config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
        config |= {"study_folder": str(root / "studies"), "studies": ["levels"]}
        self.plan = Workflow(config, SCHEMAS)
        self.plan.tried = lambda study: None  # see tests/test_check.py
        self.asks, self.study = self.plan.asks("gem_miner"), self.plan.study("levels")
        data = Path(ground.data_file("digits"))
        prepare_data("digits", {"kind": "digits"}, root, data)
        self.context = None

    def run(self):
        for cell in places.searches(self.study):
            self._stage("search", cell, self.asks.search_stage, self.asks.search_params)
        for name, level in dict.fromkeys(places.masks(self.study)):
            self._mask(name, level)
        for cell in places.cells(self.study):
            self._stage("train", cell, self.asks.training_stage, self.asks.training_params)

    def _stage(self, name, cell, stage, params):
        wildcards = self._wildcards(method=cell.method, variant=cell.variant, level=cell.level)
        self.context = StageContext(**stage(wildcards))
        files = {"data": self.plan.data_file(wildcards)}
        folder = places.search_folder if name == "search" else places.folder
        if name == "train":
            told = self.asks.training_input(wildcards)
            files = {"data": told["data"], "mask": told["mask"], "state": told.get("state")}
            files["search_summary"] = told.get("search_summary")
        load(f"pruning.systems.gem_miner.stages.{name}:{name}")(
            self.context, **files, output=folder("levels", 3, cell), **params(wildcards)
        )

    def _mask(self, chain, level):
        wildcards = self._wildcards(chain=chain, level=level)
        context = StageContext(**self.plan.prune_stage(wildcards))
        inputs = {"state": None, **self.plan.prune_input(wildcards)}
        mask = ground.mask("levels", 3, chain, level)
        prune(context, output=mask, **inputs, **self.plan.prune_params(wildcards))
        files = (mask, ground.mask_metadata(mask), ground.mask_report(mask))
        report_stage(context, inputs["data"], *files, chain=chain, level=level)

    def _wildcards(self, **more):
        return SimpleNamespace(study="levels", seed="3", **{k: str(v) for k, v in more.items()})

    def task(self):
        return self.context.load_task(ground.data_file("digits"), "test")

    # -- what lies where ----------------------------------------------------------------------

    def search(self, method, level):
        return self.root / places.search_folder("levels", 3, Cell(method, "unmodified", level))

    def trained(self, method, variant, level):
        return self.root / places.folder("levels", 3, Cell(method, variant, level))

    def mask(self, method, variant, level):
        return load_masks(self.root / places.cell_mask(self.study, 3, Cell(method, variant, level)))

    def found(self, method, level):
        kind = {"gem_miner": "rounded", "edge_popup": "layerwise"}[method]
        state = load_state(self.search(method, level) / "state.safetensors")
        return states.found(state, self.task().prunable(), kind)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root, before, draw = tmp_path_factory.mktemp("levels"), os.getcwd(), states.draw_scores
    os.chdir(root)
    try:
        made = Finished(root)

        def watched(state, names, search, seed, *purpose):
            made.drawn[purpose] = scores = draw(state, names, search, seed, *purpose)
            return scores

        states.draw_scores = watched
        made.run()
        yield made
    finally:
        states.draw_scores = draw
        os.chdir(before)


def sizes(state, names):
    """|w| of each layer times the square root of its fan-in: sqrt(2) as they are drawn."""
    return {n: state.weights[n].abs() * state.weights[n][0].numel() ** 0.5 for n in names}


@pytest.mark.parametrize(
    ("method", "shares"), [("gem_miner", (1.0, 1.0)), ("edge_popup", (0.25, 0.81))]
)
def test_a_search_is_of_signed_constants_with_the_fan_of_its_level(finished, method, shares):
    names = finished.task().prunable()
    for level, share in zip(LEVELS, shares, strict=True):
        state = load_state(finished.search(method, level) / places.NETWORK)
        for size in sizes(state, names).values():
            torch.testing.assert_close(size, torch.full_like(size, (2 / share) ** 0.5))
        signs = torch.cat([state.weights[n].sign().flatten() for n in names])
        assert abs(float(signs.mean())) < 0.1


def test_each_layer_of_each_search_draws_scores_of_its_own(finished):
    cells = [(m, level) for m in ("gem_miner", "edge_popup") for level in LEVELS]
    assert set(finished.drawn) == {
        ("gem_miner", "search", m, "unmodified", f"level{level}") for m, level in cells
    }
    drawn = [scores for purpose, scores in finished.drawn.items() if "gem_miner" in purpose[2]]
    for purpose, scores in finished.drawn.items():
        if purpose[2] == "gem_miner":
            for name, score in scores.items():
                source = generator(3, *purpose, "scores", name)
                assert torch.equal(score, torch.rand(score.shape, generator=source))
    assert not any(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


@pytest.mark.parametrize("method", ["gem_miner", "edge_popup"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_searchs_summary_is_of_its_end(finished, method, level):
    folder = finished.search(method, level)
    summary = read_json(folder / "summary.json")
    last = pd.read_csv(folder / "metrics.csv").iloc[-1]
    found = finished.found(method, level)
    kept, total = masking.counts(found.kept)
    active = masking.counts(found.active)[0]
    assert summary["mask_density"] == last["active_density"] == active / total
    assert summary["kept_density"] == last["kept_density"] == kept / total
    assert (active < kept) == (method == "gem_miner")
    told = report(finished.task(), found.active)
    for key in ("effective_density", "collapsed_layers"):
        assert summary[key] == told[key]
    assert summary["scores"]["test"]["accuracy"] == last["test_accuracy"]


def test_no_row_has_more_on_a_path_than_it_keeps(finished):
    table = collect("levels", ground.collected(finished.study, "gem_miner")[1:])
    assert set(table["method"]) == {"gem_miner", "edge_popup"}
    assert (table["effective_density"] <= table["mask_density"]).all()
    # And they are of one mask also where what is trained was given weights back.
    rows = table[(table["method"] == "gem_miner") & (table["level"] == 2)]
    rows = rows.set_index("variant")
    for column in ("mask_density", "effective_density"):
        searched, trained = (
            rows.loc[name, column].iloc[0] for name in ("searched_unmodified", "unmodified")
        )
        assert searched < trained


def test_each_level_unflags_as_it_says(finished):
    for level, unflag in zip(LEVELS, (False, True), strict=True):
        found = finished.found("gem_miner", level)
        assert masking.counts(found.active)[0] < masking.counts(found.kept)[0]
        mask = finished.mask("gem_miner", "unmodified", level)
        for name, expected in (found.kept if unflag else found.active).items():
            assert torch.equal(mask[name], expected)


@pytest.mark.parametrize("method", ["gem_miner", "edge_popup"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_shuffled_mask_keeps_as_many_of_each_layer_elsewhere(finished, method, level):
    found, shuffled = (finished.mask(method, v, level) for v in ("unmodified", "shuffled"))
    assert found.keys() == shuffled.keys()
    for name, mask in found.items():
        assert mask.sum() == shuffled[name].sum()
        assert not torch.equal(mask, shuffled[name])


@pytest.mark.parametrize("method", ["gem_miner", "edge_popup"])
@pytest.mark.parametrize("level", LEVELS)
def test_training_starts_from_what_was_searched(finished, method, level):
    """Its weights, and the batch-norm statistics that the search ended with."""
    folder = finished.search(method, level)
    network, ended = (load_state(folder / name) for name in (places.NETWORK, "state.safetensors"))
    for name, buffer in network.buffers.items():
        assert torch.equal(buffer, ended.buffers[name])
    assert not torch.equal(network.buffers["norm1.running_mean"], torch.zeros(8))
    for variant in ("unmodified", "shuffled"):
        trained = load_state(finished.trained(method, variant, level) / "state.safetensors")
        for name, mask in finished.mask(method, variant, level).items():
            torch.testing.assert_close(trained.weights[name], network.weights[name] * mask)
    if (method, level) != ("gem_miner", 2):  # where the mask is that of the search's last scores
        found, searched = (
            read_json(place / "summary.json")["scores"]["test"]
            for place in (finished.trained(method, "unmodified", level), folder)
        )
        assert (found["start_accuracy"], found["start_loss"]) == (
            searched["accuracy"], searched["loss"]
        )  # fmt: skip


@pytest.mark.parametrize("method", ["gem_miner", "edge_popup"])
@pytest.mark.parametrize("level", LEVELS)
def test_fresh_weights_are_a_draw_of_their_own_from_the_variants_distribution(
    finished, method, level
):
    """Scaled by the fan of the level as the searched ones are."""
    share = {("edge_popup", 1): 0.25, ("edge_popup", 2): 0.81}.get((method, level), 1.0)
    network = load_state(finished.search(method, level) / places.NETWORK)
    mask = finished.mask(method, "reinitialized", level)
    for variant in ("reinitialized", "reinitialized_kaiming"):
        state = load_state(finished.trained(method, variant, level) / "state.safetensors")
        entries = []
        for name, size in sizes(state, mask).items():
            kept = mask[name]
            assert not torch.allclose(state.weights[name][kept], network.weights[name][kept])
            assert not size[~kept].any()
            entries.append(size[kept])
        entries, size = torch.cat(entries), (2 / share) ** 0.5
        if variant == "reinitialized":
            torch.testing.assert_close(entries, torch.full_like(entries, size))
        else:  # of half a normal distribution, to four standard errors
            error = 4 * size / (2 * len(entries)) ** 0.5
            assert abs(entries.square().mean() ** 0.5 - size) < error
            assert entries.std() > 0.3 * entries.mean()
