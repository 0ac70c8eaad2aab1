"""All of the rewinding paper through Snakemake, small: grids, figures, claims, Algorithm 1."""

import json
import re

import pandas as pd
import pytest

from pruning.training.checkpoint import load_masks, load_state
from tests.conftest import REPOSITORY

RAW = REPOSITORY.parent / "shared" / "reference" / "renda2020_raw"
NETWORK = ("network: {name: mlp, options: {widths: [16]}}", "network: {name: small_cnn}")
GRID = (
    "retrain_times: [2]",
    """retrain_times: [1, 2, 3]
  modes: [iterative, one_shot, structured_a]
  methods_by_mode: {one_shot: [lr_rewind, fine_tune, reinit]}
  levels_by_mode: {structured_a: 1}
  thinnings: {structured_a: [{convs: [1, 2], fraction: 0.5}]}
figure: {published: "renda2020:resnet20"}""",
)
FIGURES = {
    "accuracy_vs_retrain_time", "accuracy_vs_retrain_time_core",
    "fixed_retrain_time", "rewind_vs_finetune", "rewind_vs_finetune_core",
    "rewind_vs_finetune_iterative", "rewind_vs_finetune_one_shot",
    "rewind_vs_finetune_structured", "speedup",
}  # fmt: skip


def planned(project, study="tiny"):
    """Jobs by rule, as ``pruning plan`` prints them."""
    found = re.findall(r"^  (\w+) +([\d,]+) jobs", project.pruning("plan", study), re.MULTILINE)
    jobs = {name: int(count.replace(",", "")) for name, count in found}
    total = jobs.pop("total")
    assert total == sum(jobs.values())
    return jobs


def test_a_plan_agrees_with_snakemakes_own_count(project):
    assert planned(project) == project.plan(target="plots_tiny")
    project.edit("config/studies/tiny.yaml", *NETWORK)
    project.edit("config/studies/tiny.yaml", *GRID)
    assert planned(project) == project.plan(target="plots_tiny")


def test_every_figure_of_a_grid_and_its_claims(project):
    project.edit("config/studies/tiny.yaml", *NETWORK)
    project.edit("config/studies/tiny.yaml", *GRID)
    before = planned(project)
    project.snakemake("plots_tiny")
    plots = project.root / "plots" / "tiny"
    assert {p.stem for p in plots.glob("*.pdf")} == FIGURES
    assert {p.stem for p in plots.glob("*.png")} == FIGURES
    assert {p.stem for p in plots.glob("*.csv")} == FIGURES | {"claims"}
    assert (plots / "claims.md").read_text().startswith("# ")
    assert project.plan(target="plots_tiny") == {}

    tidy = pd.read_csv(project.root / "results/tiny/tidy.csv")
    cells = tidy.drop_duplicates(["variant", "method", "retrain_time", "level"])
    assert len(cells) == 1 + 2 * 3 * 2 + 3 * 3 * 2 + 2 * 3
    assert before["retrain"] == len(cells) - 1
    structured = cells[cells["variant"] == "structured_a"].iloc[0]
    # conv1 8 of 9 weights, conv2 16 x 8 x 9, fc1 64 x 32, fc2 320; half of the filters go.
    assert structured["density"] == (4 * 9 + 8 * 4 * 9 + 32 * 32 + 320) / 3592
    assert structured["mask_density"] == (4 * 9 + 8 * 8 * 9 + 64 * 32 + 320) / 3592
    assert structured["macs"] == 64 * 4 * 9 + 16 * 8 * 4 * 9 + 32 * 32 + 320
    dense = cells[cells["method"] == "dense"].iloc[0]
    assert dense["macs"] == 64 * 8 * 9 + 16 * 16 * 8 * 9 + 64 * 32 + 320
    assert dense["training_macs"] == round(3 * dense["macs"] * dense["training_steps"] * 64)
    one_shot = cells[(cells["variant"] == "one_shot") & (cells["method"] == "fine_tune")]
    spent = one_shot[one_shot["retrain_time"] == 1].set_index("level").loc[1]
    steps = spent["training_steps"] - dense["training_steps"]
    more = round(3 * spent["macs"] * steps * 64)
    assert spent["training_macs"] == dense["training_macs"] + more
    drawn = pd.read_csv(plots / "rewind_vs_finetune.csv")
    assert set(drawn["source"]) == {"study", "renda2020:resnet20"}


ALGORITHM = ("retrain_times: [2]", "retrain_times: [2]\nalgorithm: {tolerance: 1.2, max_levels: 4}")


def test_algorithm_1_goes_on_until_a_level_does_not_match(project):
    project.edit("config/studies/tiny.yaml", *ALGORITHM)
    target = "results/tiny/algorithm_1.csv"
    project.snakemake(target)
    folder = project.root / "results/tiny/seed0/algorithm_1"
    result = json.loads((folder / "result.json").read_text())
    levels = pd.read_csv(folder / "levels.csv")
    assert result["levels_tried"] == len(levels)
    changes = levels["pruned_validation"] - levels["dense_validation"]
    assert (changes[: result["level"]] >= -1.2).all()
    assert result["level"] == 4 or changes.iloc[-1] < -1.2
    tried = sorted(p.name for p in (folder / "lr_rewind" / "t3").iterdir())
    assert tried == [f"level{n}" for n in range(1, len(levels) + 1)]  # every level is kept
    masks, network = (
        load_masks(folder / "mask.safetensors"),
        load_state(folder / "network.safetensors"),
    )
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == round(0.8 ** result["level"] * 1184)
    assert all((network.weights[n] == 0)[~mask].all() for n, mask in masks.items())
    assert project.plan(target=target) == {}

    # What is finished stays when it is to go further; another tolerance trains nothing again.
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("state.safetensors")}
    project.edit("config/studies/tiny.yaml", "tolerance: 1.2, max_levels: 4",
                 "tolerance: 100, max_levels: 5")  # fmt: skip
    project.snakemake(target)
    assert json.loads((folder / "result.json").read_text())["level"] == 5
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_algorithm_1_takes_what_the_iterative_chain_has(project):
    project.edit("config/studies/tiny.yaml", "fraction: 0.5", "fraction: 0.2")
    project.edit("config/studies/tiny.yaml", "retrain_times: [2]",
                 "retrain_times: [3]\nalgorithm: {tolerance: 100, max_levels: 3}")  # fmt: skip
    project.snakemake("plots/tiny/rewind_vs_finetune.pdf")
    chain = project.root / "results/tiny/seed0/iterative/lr_rewind/t3"
    before = {p: p.stat().st_mtime_ns for p in chain.rglob("*.safetensors")}
    assert len(before) == 4  # two levels: mask and state
    project.snakemake("results/tiny/algorithm_1.csv")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert sorted(p.name for p in chain.iterdir()) == ["level1", "level2", "level3"]
    assert project.plan() == {}


def test_figures_and_networks_that_do_not_exist_are_named(project):
    for target, message in (
        ("plots/tiny/speedups.pdf", "Unknown figure 'speedups'. Did you mean 'speedup'"),
        ("plots/tiny/rewind_vs_finetune_structured.pdf", "has not what rewind_vs_finetune_struct"),
        ("plots/published/renda2020/resnet21/speedup.pdf", "Did you mean 'resnet20'"),
        ("plots/published/renda2021/speedup.pdf", "Unknown paper 'renda2021'"),
    ):
        output = project.snakemake(target, check=False)
        assert message in output
        assert "Traceback" not in output


@pytest.mark.skipif(not RAW.exists(), reason=f"the authors' files are not in {RAW}")
def test_the_papers_own_figures_redraw_without_training(project):
    source = ("--config", f"published={{renda2020: {RAW}}}")
    target = "plots_published_renda2020"
    jobs = project.plan(*source, target=target)
    assert set(jobs) == {"published", "published_claims", "published_figure", target}
    project.snakemake(
        "plots/published/renda2020/algorithm_vs_literature.pdf",
        "plots/published/renda2020/claims.csv",
        "plots/published/renda2020/resnet56/speedup.pdf",
        *source,
    )
    folder = project.root / "plots/published/renda2020"
    drawn = pd.read_csv(folder / "algorithm_vs_literature.csv")
    resnet56 = drawn[(drawn["study"] == "renda2020_resnet56") & (drawn["method"] == "lr_rewind")]
    at = resnet56.set_index("level")["median"]
    assert (at[10], at[17]) == pytest.approx((0.10, -2.20), abs=0.005)  # reference, section 6a
    speedups = pd.read_csv(folder / "resnet56/speedup.csv").set_index(["method", "level"])
    found = [speedups.loc[(m, 10), "speedup"] for m in ("lr_rewind", "weight_rewind", "fine_tune")]
    assert found == pytest.approx([6.10, 6.30, 5.19], abs=0.005)  # reference, section 6c
    assert (folder / "claims.md").exists()


def test_a_missing_source_of_published_results_is_explained(project):
    project.edit("config/config.yaml", "  renda2020: https", "  renda2020: nowhere #")
    output = project.snakemake("results/published/renda2020/tidy.csv", check=False)
    assert "bases_dataframe.pkl cannot be read from nowhere" in output
