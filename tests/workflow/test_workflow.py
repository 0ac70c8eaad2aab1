"""The workflow as people use it, on a tiny study of the digits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from humanfriendly import parse_size

from pruning.data.splits import load
from tests.test_image_trees import WHOLE, make_folder, png
from tests.workflow.conftest import kill_group, make_project

ALL = {"collect": 1, "dense": 1, "figure": 1, "prune": 4, "report": 4,
       "retrain": 4, "rewind_state": 1}  # fmt: skip
PETS = "{kind: image_folder, path: pets}"
LEVEL1 = "results/tiny/seed0/iterative/lr_rewind/t2/level1"


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """The tiny study, run as by a user: everything starts as it does on a command line."""
    project = make_project(tmp_path_factory.mktemp("started") / "project")
    project.snakemake("plots/tiny/rewind_vs_finetune.pdf", forked=False)
    return project


def test_a_plan_a_run_and_a_second_run(finished_once, project):
    assert project.plan() == ALL | {"prepare_data": 1}
    assert finished_once.plan() == {}
    csv = pd.read_csv(finished_once.root / "plots/tiny/rewind_vs_finetune.csv")
    assert csv["method"].tolist() == ["dense", *2 * ["lr_rewind"], *2 * ["weight_rewind"]]
    assert csv["compression_ratio"].tolist() == [1, 2, 4, 2, 4]
    tidy = pd.read_csv(finished_once.root / "results/tiny/rewinding.csv")
    steps = tidy.groupby(["method", "level"])["training_steps"].first()
    dense = steps["dense", 0]
    assert dense == int(3 * 1352 / 64)
    per_level = dense - int(dense - 2 * 1352 / 64)
    assert steps["lr_rewind", 2] == dense + 2 * per_level
    metadata = json.loads((finished_once.root / LEVEL1 / "state.json").read_text())
    assert set(metadata["parents"]) == {"data", "mask", "final"}
    mask = json.loads((finished_once.root / LEVEL1 / "mask.json").read_text())
    assert (mask["kept"], mask["prunable"], mask["mask_density"]) == (592, 1184, 0.5)
    assert not {"effective_density", "kept_by_layer", "channel_sparsity"} & mask.keys()
    summary = json.loads((finished_once.root / LEVEL1 / "summary.json").read_text())
    assert (summary["density"], summary["kept"], summary["macs"]) == (0.5, 592, 592)
    assert not {"effective_density", "collapsed_layers"} & summary.keys()
    report = json.loads((finished_once.root / LEVEL1 / "report.json").read_text())
    row = tidy[(tidy["method"] == "lr_rewind") & (tidy["level"] == 1)].iloc[0]
    assert row["effective_density"] == report["effective_density"] <= 0.5
    assert not list((finished_once.root / "results").rglob("*.resume"))


def test_one_core_and_two_give_the_same_bytes(finished_once, project):
    project.snakemake("plots/tiny/rewind_vs_finetune.pdf", cores=1)
    assert project.files() == finished_once.files()


def test_jobs_that_start_cold_give_the_same_bytes(finished_once, project):
    """One of each rule, so that torch is imported once for each and not for each level."""
    # No warm process: its start is taken out of the Snakefile.
    project.edit("workflow/Snakefile", "if workflow.local_exec:", "if False:")
    level = LEVEL1.replace("lr_rewind", "weight_rewind")
    targets = [f"{level}/summary.json", f"{level}/report.json"]
    project.snakemake(*targets, forked=False)
    found, whole = project.files(), finished_once.files()
    folders = {name.split("/tiny/")[-1].rpartition("/")[0] for name in found}
    assert folders >= {"seed0/dense", "seed0/rewind_states", level.partition("/tiny/")[2]}
    assert found == {name: whole[name] for name in found}


def test_editing_a_figure_redraws_and_retrains_nothing(finished):
    finished.edit("src/pruning/systems/rewinding/styles.py", '"Fine-tuning", 2', '"Fine-tuning", 7')
    assert finished.plan() == {"figure": 1}


def test_editing_the_report_on_masks_reruns_it_and_trains_nothing(finished):
    before = finished.files("rewind_vs_finetune.csv")
    tidy = finished.root / "results/tiny/rewinding.csv"
    finished.edit("src/pruning/masks/report.py", "BINS = 100", "BINS = 10")
    assert finished.plan() == {"report": 4, "collect": 1, "figure": 1}
    table = tidy.read_bytes()
    finished.snakemake("plots/tiny/rewind_vs_finetune.pdf")
    report = json.loads((finished.root / LEVEL1 / "report.json").read_text())
    assert len(report["channel_sparsity"]) == 11
    assert tidy.read_bytes() == table  # which has nothing of channels
    assert finished.files("rewind_vs_finetune.csv") == before
    assert finished.plan() == {}


def test_a_comment_reruns_nothing_and_an_algorithm_its_stages(finished):
    finished.edit("src/pruning/training/backward.py", ".backward()", ".backward()  # why")
    assert finished.plan() == {}
    finished.edit("src/pruning/scores/magnitude.py", "weight.abs()", "weight.square()")
    after = {"collect": 1, "prune": 4, "report": 4, "retrain": 4, "figure": 1}
    assert finished.plan() == after
    finished.edit(
        "src/pruning/training/backward.py",
        "(loss if term is None else loss + term)",
        "(2 * (loss if term is None else loss + term))",
    )
    assert finished.plan() == ALL


def test_a_retrain_time_that_joins_while_the_dense_training_is_interrupted(project):
    project.edit("config/studies/tiny.yaml", *LONG)
    target = "results/tiny/seed0/rewind_states/t2.safetensors"
    index = project.root / "results/tiny/seed0/dense.resume/index.json"
    run = project.start(target)
    wait_for(index, run)
    kill_group(run)
    project.edit("config/studies/tiny.yaml", "retrain_times: [2]", "retrain_times: [2, 249]")
    project.snakemake("--unlock")
    project.snakemake(target.replace("t2", "t249"))
    log = (project.root / "logs/tiny/seed0/dense.log").read_text()
    assert "resumed after" in log


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("learning_rate: 0.1", "learning_rate: 0.2", ALL),
        ("fraction: 0.5", "fraction: 0.4",
         {"collect": 1, "prune": 4, "report": 4, "retrain": 4, "figure": 1}),
        ("levels: 2", "levels: 3", {"collect": 1, "prune": 2, "report": 2, "retrain": 2,
                                    "figure": 1}),
        ("seeds: [0]", "seeds: [0, 1]", ALL),
        ("[lr_rewind, weight_rewind]", "[lr_rewind, weight_rewind, fine_tune]",
         {"collect": 1, "prune": 2, "report": 2, "retrain": 2, "figure": 1}),
        ("retrain_times: [2]", "retrain_times: [2, 1]",
         {"collect": 1, "prune": 4, "report": 4, "retrain": 4, "rewind_state": 1,
          "figure": 1}),
        ("title: Tiny", "title: Small", {"figure": 1}),
        ("epochs: 3\n  batches: {size: 64}", "batches: {size: 64}\n  epochs: 3", {}),
    ],
)  # fmt: skip
def test_a_changed_study_reruns_exactly_what_the_change_reaches(finished, old, new, expected):
    finished.edit("config/studies/tiny.yaml", old, new)
    assert finished.plan() == expected


def test_a_retrain_time_that_joins_later_repeats_the_dense_training_bit_for_bit(
    finished_once, project, tmp_path
):
    finished = finished_once.copy(tmp_path / "finished")
    before = finished.files("rewind_vs_finetune.csv")
    for place in (finished, project):
        place.edit("config/studies/tiny.yaml", "retrain_times: [2]", "retrain_times: [2, 1]")
        place.snakemake("plots/tiny/rewind_vs_finetune.pdf")
    log = (finished.root / "logs/tiny/seed0/rewind_states/t1.log").read_text()
    assert "repeating the training" in log
    state = "results/tiny/seed0/rewind_states/t1.safetensors"
    after, fresh = finished.files(), project.files()
    assert after[state] == fresh[state]
    kept = [name for name in before if name.startswith("results")]
    assert all(after[name] == before[name] for name in kept)


def test_nothing_finished_reruns_for_the_time_of_a_file(finished):
    """As after `cp -r`, a checkout there and back, an archive without times, `touch`."""
    profile = (finished.root / "workflow/profiles/default/profile.yaml").read_text()
    options = yaml.safe_load(profile)
    # Snakemake compares the content of files up to this size only, and here all are small.
    assert parse_size(options["max-checksum-file-size"]) >= 10**12
    for script in (finished.root / "workflow/scripts").iterdir():
        script.write_text(f"# why\n{script.read_text()}")
    paths = sorted(finished.root.rglob("*"), key=lambda path: len(path.parts))
    now = time.time()
    for offset, order in ((0, paths), (10**6, reversed(paths))):
        for number, path in enumerate(order):  # each later than all before it
            os.utime(path, 2 * (now - offset + number,), follow_symlinks=False)
        assert finished.plan() == {}


def test_what_a_script_says_and_what_a_file_holds_rerun_what_follows(finished):
    finished.edit("workflow/scripts/report.py", 'wanted="cpu"', 'wanted="c" + "pu"')
    assert finished.plan() == {"report": 4, "collect": 1, "figure": 1}
    path = finished.root / LEVEL1 / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert finished.plan() == {"prune": 1, "report": 4, "retrain": 1, "collect": 1, "figure": 1}


def test_forcing_a_rule_reruns_it_and_its_descendants(finished):
    assert finished.plan("--forcerun", "retrain") == {
        "collect": 1, "prune": 2, "report": 2, "retrain": 4, "figure": 1}  # fmt: skip
    assert finished.plan("--forcerun", "collect") == {
        "collect": 1, "figure": 1}  # fmt: skip


def test_deleting_an_output_reruns_its_stage_and_its_descendants(finished):
    before = finished.files()
    (finished.root / LEVEL1 / "state.safetensors").unlink()
    expected = {"collect": 1, "prune": 1, "report": 1, "retrain": 2, "figure": 1}
    assert finished.plan() == expected
    finished.snakemake("plots/tiny/rewind_vs_finetune.pdf")
    assert finished.files() == before
    assert finished.plan() == {}


DRAWN = {"figure": 1}
LAST = {"collect": 1, "retrain": 1} | DRAWN


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        ("plots/tiny/rewind_vs_finetune.png", DRAWN),
        ("plots/tiny/rewind_vs_finetune.csv", DRAWN),
        ("results/tiny/rewinding.csv", {"collect": 1} | DRAWN),
        (f"{LEVEL1[:-1]}2/metrics.csv", LAST),
        (f"{LEVEL1[:-1]}2/state.json", LAST),
        (f"{LEVEL1[:-1]}2/report.json", {"collect": 1, "report": 1} | DRAWN),
        (f"{LEVEL1[:-1]}2/mask.safetensors", LAST | {"prune": 1, "report": 1}),
        (f"{LEVEL1[:-1]}2/mask.json", LAST | {"prune": 1, "report": 1}),
        ("results/tiny/seed0/rewind_states/t2.safetensors",
         {"collect": 1, "prune": 1, "report": 1, "retrain": 2, "rewind_state": 1} | DRAWN),
        ("results/tiny/seed0/dense/rewind", ALL),
        ("results/data/digits.safetensors", ALL | {"prepare_data": 1}),
    ],
)  # fmt: skip
def test_any_output_can_be_deleted_and_comes_back(finished, deleted, expected):
    path = finished.root / deleted
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert finished.plan() == expected


def test_a_deleted_figure_file_comes_back_and_then_all_is_done(finished):
    (finished.root / "plots/tiny/rewind_vs_finetune.csv").unlink()
    finished.snakemake("plots/tiny/rewind_vs_finetune.pdf")
    assert (finished.root / "plots/tiny/rewind_vs_finetune.csv").exists()
    assert finished.plan() == {}


def test_images_that_are_replaced_are_prepared_again_and_touched_ones_are_not(project, monkeypatch):
    monkeypatch.setenv("PRUNING_DATA", "images")
    project.edit("config/config.yaml", "datasets:\n", f"datasets:\n  pets: {PETS}\n")
    make_folder(project.root / "images" / "pets", WHOLE)
    prepared = "results/data/pets.safetensors"
    project.snakemake(prepared)
    for file in (project.root / "images").rglob("*.png"):
        os.utime(file)
    assert project.plan(target=prepared) == {}
    (project.root / "images/pets/train/a/1.png").write_bytes(png(12))
    project.snakemake(prepared)
    assert load(project.root / prepared).train.images[0].unique().tolist() == [12]
    shutil.rmtree(project.root / "images")
    assert project.plan(target=prepared) == {}


LONG = ("epochs: 3", "epochs: 250")


def wait_for(path, process, seconds=90):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(project, tmp_path):
    """SIGKILL to everything, as a power cut; then the same command again."""
    project.edit("config/studies/tiny.yaml", *LONG)
    whole = project.copy(tmp_path / "whole")
    target = "results/tiny/seed0/dense/state.safetensors"
    folder = project.root / "results/tiny/seed0/dense"
    index = folder.with_name("dense.resume") / "index.json"
    run = project.start(target)
    wait_for(index, run)
    kill_group(run)
    done = json.loads(index.read_text())["done"]
    assert 0 < done < 5281
    assert not (folder / "state.safetensors").exists()
    project.snakemake("--unlock")
    project.snakemake(target)
    log = (project.root / "logs/tiny/seed0/dense.log").read_text()
    assert f"resumed after {done} of 5281 steps" in log
    whole.snakemake(target)
    assert project.files() == whole.files()
    assert not index.parent.exists()


def test_a_training_killed_under_snakemake_fails_its_job_and_goes_on_later(project, tmp_path):
    project.edit("config/studies/tiny.yaml", *LONG)
    target = "results/tiny/seed0/dense/state.safetensors"
    index = project.root / "results/tiny/seed0/dense.resume/index.json"
    run = project.start(target)
    wait_for(index, run)
    found = subprocess.run(
        ["pgrep", "-g", str(run.pid), "-f", "dense.py"], capture_output=True, text=True
    ).stdout.split()
    assert found
    for pid in found:
        os.kill(int(pid), signal.SIGKILL)
    assert run.wait(timeout=60) != 0
    assert not (project.root / target).exists()
    assert index.exists()
    project.snakemake(target)
    assert "resumed after" in (project.root / "logs/tiny/seed0/dense.log").read_text()


def test_a_half_written_output_is_not_taken_for_good(finished):
    path = finished.root / LEVEL1 / "state.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    (finished.root / LEVEL1.replace("level1", "level2") / "mask.safetensors").unlink()
    output = finished.snakemake("plots/tiny/rewind_vs_finetune.pdf", check=False)
    assert f"{LEVEL1}/state.safetensors is truncated or damaged" in output
    log = (finished.root / f"logs/{LEVEL1[8:].replace('level1', 'level2')}/prune.log").read_text()
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config/config.yaml", "studies: [digits]", "studies: [digit]", "Did you mean 'digits'"),
        ("config/config.yaml", "device: auto", "device: gpu", "Allowed: auto, cpu, cuda"),
        ("config/config.yaml", "device: auto", "devise: cpu", "Did you mean 'device'"),
        ("config/studies/tiny.yaml", "name: mlp", "name: mlpp", "Did you mean 'mlp'"),
        ("config/studies/tiny.yaml", "retrain_times: [2]", "retrain_times: [4]", "outside (0, 3]"),
        ("config/studies/tiny.yaml", "dataset: digits", "dataset: digit", "Did you mean 'digits'"),
    ],
)  # fmt: skip
def test_mistakes_in_the_configuration_stop_at_once(project, file, old, new, message):
    project.edit(file, old, new)
    output = project.snakemake("--dry-run", "plots/tiny/rewind_vs_finetune.pdf", check=False)
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("plots/tinny/rewind_vs_finetune.pdf", "Did you mean 'tiny'"),
        (f"{LEVEL1[:-1]}3/summary.json", "has 2 levels (iterative/lr_rewind/t2), not 3"),
        (f"{LEVEL1.replace('lr_', 'rl_')}/summary.json", "Did you mean 'lr_rewind'"),
        (f"{LEVEL1.replace('t2', 't4')}/summary.json", "retrains lr_rewind for 2 epochs, not 4"),
        (f"{LEVEL1.replace('lr_rewind', 'reinit')}/summary.json", "does not run reinit"),
    ],
)
def test_targets_that_cannot_be_made_say_why(project, target, message):
    output = project.snakemake(target, check=False)
    assert message in output
    assert "Traceback" not in output
    assert not list((project.root / ".snakemake" / "locks").iterdir())


def test_divergence_stops_the_job_with_its_name_step_and_rate(project):
    project.edit("config/studies/tiny.yaml", "learning_rate: 0.1", "learning_rate: 1.0e+6")
    output = project.snakemake("results/tiny/seed0/dense/state.safetensors", check=False)
    assert "study tiny, seed 0, dense training: the training loss is" in output
    assert "learning rate 1e+06" in output
    assert not (project.root / "results/tiny/seed0/dense/state.safetensors").exists()


def test_the_top_figure_has_a_panel_per_enabled_study(finished):
    finished.edit("config/config.yaml", "studies: [digits]", "studies: [tiny]")
    assert finished.plan(target="plots/rewind_vs_finetune.pdf") == {"figure_of_enabled": 1}
    finished.snakemake()  # the default target
    assert (finished.root / "plots/rewind_vs_finetune.png").exists()
    finished.snakemake("--report", "report.html", "plots/rewind_vs_finetune.pdf")
    report = (finished.root / "report.html").read_text()
    assert "rewind_vs_finetune.pdf" in report
    assert "by compression ratio" in report


def test_the_slurm_profile_is_valid_and_asks_for_gpus(project):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    output = project.snakemake(
        "--profile", "workflow/profiles/slurm", "--dry-run", "results/tiny/seed0/dense/state.json"
    )
    dense = output[output.index("rule dense") :]
    assert "gpu=1" in dense
    assert "runtime=60" in dense
    assert "mem_mb=3000" in dense
    profile = yaml.safe_load((project.root / "workflow/profiles/slurm/profile.yaml").read_text())
    assert profile["executor"] == "slurm"


def test_lint(project):
    assert "good condition" in project.snakemake("--lint")


def test_snakemake_itself_imports_no_torch(project):
    code = (
        "import sys; from pruning.study.asks import Workflow; import pruning.running.warm;"
        "import yaml; w = Workflow(yaml.safe_load(open('config/config.yaml')), 'workflow/schemas');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=project.root, env=project.environment(), check=True
    )
