"""Pruning at initialization through Snakemake."""

import json

import pandas as pd
import pytest
import torch

from pruning.masks.shuffled import shuffle_layerwise
from pruning.training.checkpoint import load_masks, load_state
from tests.conftest import assert_same_state
from tests.workflow.test_rewinding_paper import planned

SECTION = """
at_init:
  methods: [magnitude, snip, synflow, lottery_ticket, snip_with_norm_scales, synflow_without_masks,
            random]
  variants_by_method:
    magnitude: [unmodified, shuffled, reinitialized, inverted]
    random: [shuffled]
  densities: [0.5, 0.1]
  iterations: {synflow: 5}
  rewind_epoch: 1
  later: {epochs: [1], level: 2, methods: [snip]}
"""
CELLS = 2 * (4 + 5 + 1) + 1
TRAINED = 2 * (3 + 5 + 1) + 1  # masks: reinitialized networks have those of the unmodified variant
MASKS = TRAINED + 2  # of random masks only the shuffled ones are trained
TABLE = "results/small/at_init.csv"


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    from tests.workflow.conftest import TINY, make_project

    project = make_project(tmp_path_factory.mktemp("at_init") / "project")
    text = TINY[: TINY.index("rewinding:")].replace(
        "{name: mlp, options: {widths: [16]}}", "{name: small_cnn}"
    )
    (project.root / "config/studies/small.yaml").write_text(text + SECTION)
    project.snakemake("plots_small")
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    return finished_once.copy(tmp_path / "project")


def folder(project, method, variant="unmodified", epoch=0, level=2):
    return project.root / f"results/small/seed0/at_init/{method}/{variant}/e{epoch}/level{level}"


def test_every_cell_has_a_row_and_says_what_it_is(finished_once):
    table = pd.read_csv(finished_once.root / TABLE)
    test = table[(table["split"] == "test") & (table["metric"] == "accuracy")]
    assert len(test) == 1 + CELLS
    assert (test["method"] == "dense").sum() == 1
    assert finished_once.plan(target="plots_small") == {}
    rows = test.set_index(["method", "variant", "pruned_at", "level"]).sort_index()
    dense, snip = rows.loc["dense"].iloc[0], rows.loc[("snip", "unmodified", 0, 2)]
    assert (snip["density"], snip["retrain_time"]) == (0.1, 3)
    assert abs(snip["mask_density"] - 0.1) < 1 / 3592
    assert 0 < snip["effective_density"] <= snip["mask_density"]
    assert snip["training_steps"] == dense["training_steps"]
    later = rows.loc[("snip", "unmodified", 1, 2)]
    assert later["retrain_time"] == 3
    steps, first_epoch = dense["training_steps"], 20  # int(63 - 2 epochs of 21.125 steps)
    assert later["training_steps"] == steps + first_epoch
    ticket = rows.loc[("lottery_ticket", "unmodified", 3, 2)]
    assert ticket["retrain_time"] == 2
    assert ticket["training_steps"] == steps + (steps - first_epoch)
    assert ticket["training_macs"] > dense["training_macs"]


def test_the_claims_are_counted(finished_once):
    counted = pd.read_csv(finished_once.root / "plots/small/at_init_claims.csv")
    cells = counted.set_index("claim")["cells"]
    assert cells[["8a", "8e", "9e", "9j", "10a", "11f"]].to_dict() == {
        "8a": 2, "8e": 2, "9e": 0, "9j": 2, "10a": 2, "11f": 1}  # fmt: skip
    page = (finished_once.root / "plots/small/at_init_claims.md").read_text()
    assert page.startswith("# Tiny\n")
    assert not (finished_once.root / "plots/small/claims.md").exists()
    output = finished_once.snakemake("--dry-run", "plots/small/claims.md", check=False)
    assert "'small' has not what claims are about. Its claims: at_init_claims." in output
    output = finished_once.snakemake("--dry-run", "plots/tiny/at_init_claims.csv", check=False)
    assert "'tiny' has not what at_init_claims are about. Its claims: claims." in output


def test_a_study_of_both_parts_has_both_pages_and_a_plan_counts_them(finished):
    tiny = finished.root / "config/studies/tiny.yaml"
    small = finished.root / "config/studies/small.yaml"
    text = tiny.read_text()
    small.write_text(small.read_text() + text[text.index("rewinding:") :])
    jobs = finished.plan("--forceall", target="plots_small")
    assert jobs["claims"] == 2
    assert jobs == planned(finished, "small")


def test_variants_share_what_they_do_not_change(finished_once):
    masks = {
        variant: load_masks(folder(finished_once, "magnitude", variant) / "mask.safetensors")
        for variant in ("unmodified", "shuffled", "inverted")
    }
    assert not (folder(finished_once, "magnitude", "reinitialized") / "mask.safetensors").exists()
    states = {
        v: load_state(folder(finished_once, "magnitude", v) / "state.safetensors")
        for v in (*masks, "reinitialized")
    }
    for name, mask in masks["unmodified"].items():
        assert masks["shuffled"][name].sum() == mask.sum()
        assert torch.equal(states["reinitialized"].masks[name], mask)
        assert not (states["unmodified"].weights[name][~mask] != 0).any()
    place = ("at_init/magnitude/shuffled/e0", 2)
    shuffled = shuffle_layerwise(masks["unmodified"], 0, *place)
    assert all(torch.equal(mask, masks["shuffled"][name]) for name, mask in shuffled.items())
    assert any((masks["shuffled"][n] != m).any() for n, m in masks["unmodified"].items())
    kept = sum(int((masks["inverted"][n] & m).sum()) for n, m in masks["unmodified"].items())
    assert kept == 0  # at a density of 0.1 the two ends do not meet
    assert len(list(finished_once.root.glob("results/small/**/mask.json"))) == MASKS
    assert len(list(finished_once.root.glob("results/small/**/report.json"))) == TRAINED
    only = folder(finished_once, "random")
    assert [path.name for path in sorted(only.iterdir())] == ["mask.json", "mask.safetensors"]
    shuffled = folder(finished_once, "random", "shuffled") / "mask.json"
    parents = json.loads(shuffled.read_text())["parents"]
    assert finished_once.root / parents["masks"]["path"] == only / "mask.safetensors"


def test_the_faults_are_there_where_they_were_asked_for(finished_once):
    ranked = load_masks(folder(finished_once, "snip_with_norm_scales") / "mask.safetensors")
    assert {"norm1.weight", "norm2.weight"} <= ranked.keys()
    told = json.loads((folder(finished_once, "synflow_without_masks") / "mask.json").read_text())
    assert (told["density"], told["mask_density"]) == (0.1, 1.0)
    told = json.loads((folder(finished_once, "snip") / "mask.json").read_text())
    assert told["score_options"] == {"batch_norm": "train", "reduction": "per_batch"}
    assert "norm1.weight" not in load_masks(folder(finished_once, "snip") / "mask.safetensors")


def test_the_initial_state_does_not_wait_for_the_dense_training(finished):
    finished.snakemake("--delete-all-output", "plots_small")
    target = "results/small/seed0/at_init/snip/unmodified/e0/level1/summary.json"
    assert finished.plan(target=target) == {
        "prepare_data": 1, "rewind_state": 1, "prune": 1, "at_init": 1}  # fmt: skip
    before = finished.root / "results/small/seed0/rewind_states/t3.safetensors"
    finished.snakemake(str(before.relative_to(finished.root)))
    initial = load_state(before)
    finished.snakemake("results/small/seed0/dense/summary.json")
    kept = finished.root / "results/small/seed0/dense/rewind/t3.safetensors"
    assert_same_state(load_state(kept), initial)
    assert initial.step == 0


@pytest.mark.parametrize(
    ("old", "new", "jobs"),
    [
        ("methods: [magnitude, snip,", "methods: [magnitude, grasp, snip,",
         {"prune": 2, "report": 2, "at_init": 2}),
        ("rewind_epoch: 1\n", "rewind_epoch: 2\n",
         {"rewind_state": 1, "at_init": 2}),
        ("densities: [0.5, 0.1]", "densities: [0.5, 0.1, 0.05]",
         {"prune": MASKS // 2, "report": TRAINED // 2, "at_init": CELLS // 2}),
        ("iterations: {synflow: 5}", "iterations: {synflow: 6}",
         {"prune": 2, "report": 2, "at_init": 2}),
        ("images_per_class", "images_per_class", {}),
    ],
)  # fmt: skip
def test_a_changed_section_repeats_what_it_reaches(finished, old, new, jobs):
    if old != new:
        finished.edit("config/studies/small.yaml", old, new)
    found = finished.plan(target=TABLE)
    found.pop("collect", None)
    assert found == jobs


def test_deleting_a_mask_cuts_it_again_and_trains_what_had_it(finished):
    before = finished.files()
    (folder(finished, "magnitude") / "mask.safetensors").unlink()
    found = finished.plan(target=TABLE)
    # Masks: unmodified and shuffled; networks: these, and reinitialized ones.
    assert found == {"prune": 2, "report": 2, "at_init": 3, "collect": 1}
    finished.snakemake("plots_small")
    assert finished.files() == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("results/tiny/at_init_layers.csv", "'tiny' has no `at_init` section"),
        ("snap/unmodified/e0/level1", "Did you mean 'snip'"),
        ("snip/unmodifed/e0/level1", "Did you mean 'unmodified'"),
        ("snip/unmodified/e2/level2", "does not prune by snip (unmodified) at epoch 2"),
        ("snip/unmodified/e0/level7", "to level 7"),
    ],
)
def test_targets_that_cannot_be_made_say_why(finished_once, target, message):
    if "/level" in target:
        target = f"results/small/seed0/at_init/{target}/summary.json"
    output = finished_once.snakemake("--dry-run", target, check=False)
    assert message in output
    assert "Traceback" not in output


def test_layer_collapse_is_said_in_the_log(finished):
    finished.edit("config/studies/small.yaml", "densities: [0.5, 0.1]", "densities: [0.5, 0.002]")
    chain = "at_init/magnitude/inverted/e0/level2"
    finished.snakemake(f"results/small/seed0/{chain}/report.json")
    log = (finished.root / f"logs/small/seed0/{chain}/prune.log").read_text()
    told = json.loads((folder(finished, "magnitude", "inverted") / "report.json").read_text())
    assert told["collapsed_layers"] == len(told["collapsed"]) > 0
    assert "layer collapse: nothing is left of" in log
    assert told["collapsed"][0] in log


def test_an_unknown_source_of_published_numbers_stops_before_any_training(finished):
    figure = "figure: {at_init_published: comp6285}"
    finished.edit("config/studies/small.yaml", "title: Tiny", f"title: Tiny\n{figure}")
    target = "plots/small/at_init_ablations.pdf"
    output = finished.snakemake("--dry-run", target, check=False)
    assert "Did you mean 'comp6258'" in output
    assert "Traceback" not in output
    finished.edit("config/studies/small.yaml", "comp6285", "comp6258:vgg16:cifar10")
    finished.snakemake(target)
    drawn = pd.read_csv(finished.root / "plots/small/at_init_ablations.csv")
    assert "comp6258" in set(drawn["source"])


def test_the_reproductions_own_numbers_are_drawn_and_followed(project):
    target = "plots_published_comp6258"
    project.snakemake(target)
    drawn = project.root / "plots/published/comp6258/at_init_ablations.csv"
    table = pd.read_csv(drawn).set_index(["method", "variant", "density"])["mean"]
    assert table[("snip", "inverted", 0.7)] == 10
    assert table[("synflow", "inverted", 0.02)] == 92.8
    assert ("snip", "reinitialized", 0.1) not in table.index  # not what it was reported as
    assert project.plan(target=target) == {}
    project.edit(
        "resources/published/at_init.csv",
        "synflow,inverted,0.02,92.8",
        "synflow,inverted,0.02,91.8",
    )
    project.snakemake(target)
    table = pd.read_csv(drawn).set_index(["method", "variant", "density"])["mean"]
    assert table[("synflow", "inverted", 0.02)] == 91.8
