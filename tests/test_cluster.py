"""Which jobs share submissions, and what is said when Slurm ends one.

That from logs as Slurm and Snakemake write them.
"""

import re
from types import SimpleNamespace

import pytest
import yaml

from pruning.running.cluster import reasons, runs_group
from pruning.study.asks import Workflow
from tests.conftest import REPOSITORY, SCHEMAS

SUBMITTED = """
[Sat Nov 21 15:19:25 2026]
rule dense:
    output: results/tiny/seed0/dense/state.safetensors
    jobid: 7
    wildcards: study=tiny, seed=0
    resources: tmpdir=<TBD>, mem_mb=120, mem=120 MB, runtime=30, gpu=0
Job 7 has been submitted with SLURM jobid 14 (log: {log}).
[Sat Nov 21 15:19:46 2026]
Error in rule dense:
    message: SLURM-job '14' failed, SLURM status is: 'FAILED'.
    jobid: 7
"""
# The outer Snakemake on the node knows the group, the inner one runs it.
NODE = """
    rule retrain:
        jobid: 5
        wildcards: study=tiny, seed=0, mode=one_shot, level=2
        resources: mem_mb=1500, runtime=5
Provided cores: 1 (use --cores to define parallelism)

localrule prune:
    jobid: 0
    wildcards: study=tiny, seed=0, chain=one_shot, level=1
    resources: mem_mb=1500, runtime=5
Finished jobid: 0 (Rule: prune)

localrule retrain:
    jobid: 5
    wildcards: study=tiny, seed=0, mode=one_shot, level=1
    resources: mem_mb=1500, mem=1.5 GB, runtime=5, gpu=0
Error in rule retrain:
    jobid: 5
"""
OUT_OF_TIME = "slurmstepd: error: *** JOB 3 ON n CANCELLED AT 2026-11-21 DUE TO TIME LIMIT ***\n"
CGROUP = "slurmstepd: error: Detected 1 oom_kill event in StepId=3.0. Some of the step tasks...\n"
SAMPLED = "slurmstepd: error: StepId=14.batch exceeded memory limit (5 > 4), being killed\n"
CANCELLED = "slurmstepd: error: *** JOB 3 ON n CANCELLED AT 2026-11-21T15:19:32 ***\n"


@pytest.fixture
def said(tmp_path):
    """What is said when the last of these logs of Slurm is of a job that failed."""

    def say(*logs, main=SUBMITTED):
        text = ""
        for number, log in enumerate(logs):
            path = tmp_path / f"{number}.log"
            if log is not None:
                path.write_text(log)
            text += main.format(log=path)
        (tmp_path / "snakemake.log").write_text(text)
        return reasons([tmp_path / "snakemake.log"], "config/studies")

    return say


def test_the_stage_that_was_running_in_a_group_is_named_and_no_other(said):
    (message,) = said(NODE + OUT_OF_TIME)
    assert message == (
        "study tiny, seed 0, mode one_shot, level 1, rule retrain: out of time; its last attempt "
        "had 5 min. Raise `runtime` under `resources` in config/studies/tiny.yaml and repeat "
        "the command."
    )
    (message,) = said(NODE + CGROUP)
    assert "rule retrain: out of memory; its last attempt had 1500 MB. Raise `mem_mb`" in message


def test_a_job_that_dies_before_its_stage_starts_is_named_as_it_was_submitted(said):
    (message,) = said("Building DAG of jobs...\n" + SAMPLED)
    assert message.startswith(
        "study tiny, seed 0, rule dense: out of memory; its last attempt had 120"
    )


def test_only_a_last_attempt_counts(said):
    assert said(NODE + OUT_OF_TIME, NODE + "ValueError\n") == []
    assert said(NODE + OUT_OF_TIME, None) == []  # succeeded: its log is deleted
    assert len(said(NODE + OUT_OF_TIME, NODE + SAMPLED)) == 1


@pytest.mark.parametrize("log", [NODE + CANCELLED, NODE + "CUDA out of memory.", ""])
def test_nothing_is_said_of_other_ends(said, log):
    assert said(log) == []


def test_a_rule_without_a_study_has_its_resource_on_the_command_line(said):
    main = SUBMITTED.replace("rule dense", "rule prepare_data").replace(
        "study=tiny, seed=0", "dataset=x"
    )
    (message,) = said(SAMPLED, main=main)
    assert "dataset x, rule prepare_data: out of memory" in message
    assert "--set-resources prepare_data:mem_mb=..." in message


def test_a_local_run_has_no_slurm_logs(said):
    assert said(main="Error in rule dense:\n") == []


def test_only_the_snakemake_that_runs_a_group_has_a_warm_process():
    group = ["snakemake", "--local-groupid", "5e38be9b"]
    assert runs_group(group)
    assert not runs_group([*group, "--executor", "slurm-jobstep"])
    assert not runs_group(["snakemake", "--mode", "remote"])


@pytest.fixture(scope="module")
def plan():
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    return Workflow(config | {"study_folder": str(REPOSITORY / "config/studies")}, SCHEMAS)


def prune(plan, study, chain, level=3):
    wildcards = SimpleNamespace(study=study, seed="0", chain=chain, level=level)
    return plan.prune_group(wildcards)


def retrain(plan, study, **changes):
    place = {"mode": "iterative", "method": "lr_rewind", "time": "182", "level": 3, "seed": "0"}
    return plan.asks("rewinding").retrain_group(
        SimpleNamespace(**{"study": study} | place | changes)
    )


def test_jobs_of_a_short_study_go_together(plan):
    assert prune(plan, "digits", "iterative/lr_rewind/t20") == "short_levels"
    assert prune(plan, "digits", "at_init/snip/inverted/e0") == "short_levels"
    assert retrain(plan, "digits") == "short_levels"
    for name in ("dense", "levels"):
        assert plan.group(name)(SimpleNamespace(study="digits")) == f"short_{name}"


@pytest.mark.parametrize(("minutes", "short"), [(10, True), (11, False), (60, False)])
def test_short_is_up_to_ten_minutes(plan, monkeypatch, minutes, short):
    study = SimpleNamespace(resources={"runtime": minutes}, processes=1)
    monkeypatch.setattr(plan, "study", lambda name: study)
    assert (plan.group("dense")(SimpleNamespace(study="any")) is not None) == short


def test_a_long_training_goes_alone_or_with_the_mask_that_is_its_own(plan):
    study = "renda2020_resnet20"
    own = retrain(plan, study)
    assert prune(plan, study, "iterative/lr_rewind/t182") == own
    changes = {"level": 4, "seed": "1", "method": "fine_tune", "time": "90"}
    others = [retrain(plan, study, **{name: value}) for name, value in changes.items()]
    others.append(retrain(plan, "renda2020_resnet56"))
    assert len({own, *others}) == 6
    assert retrain(plan, study, mode="one_shot") is None
    assert plan.group("dense")(SimpleNamespace(study=study)) is None


@pytest.mark.parametrize(
    ("study", "chain", "group"),
    [
        ("renda2020_resnet20", "one_shot", "masks_one_shot"),
        ("at_init_resnet20", "at_init/snip/inverted/e0", "masks_at_init"),
        ("gsm2019_resnet56", "gsm/gsm/unmodified", "masks_gsm"),
    ],
)
def test_other_masks_are_grouped_by_what_they_are_cut_from(plan, study, chain, group):
    assert prune(plan, study, chain) == group


def test_the_profile_divides_groups_that_there_are():
    profile = yaml.safe_load((REPOSITORY / "workflow/profiles/slurm/profile.yaml").read_text())
    known = {"short_dense", "short_levels", "masks_one_shot", "masks_at_init"}
    assert set(profile["group-components"]) == known


def test_rules_made_from_local_ones_say_so_again():
    """Snakemake takes `localrule` from no other rule, and would submit them."""
    text = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    heads = r"^(?:use rule \w+ as (\w+) with|rule \w+|checkpoint \w+|for .*):"
    blocks = re.split(heads, text, flags=re.MULTILINE)[1:]
    made = {name: body for name, body in zip(blocks[::2], blocks[1::2], strict=True) if name}
    assert len(made) == 4
    assert [name for name, body in made.items() if "    localrule: True" not in body] == []


def test_every_rule_of_a_study_that_computes_on_the_cluster_has_a_group():
    text = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    blocks = re.split(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE)[1:]
    rules = dict(zip(blocks[::2], blocks[1::2], strict=True))
    alone = [
        name
        for name, body in rules.items()
        if "{seed}" in body and "    group:" not in body and "localrule: True" not in body
    ]
    assert alone == ["algorithm"]  # one for a study and seed, and it ends the chain


def test_a_job_that_trains_nothing_asks_for_little_time(plan):
    def of(study):
        wildcards = SimpleNamespace(study=study)
        return [plan.quick_runtime(wildcards, attempt) for attempt in (1, 2)]

    assert of("digits") == [2, 4]
    assert of("renda2020_resnet20") == [20, 40]


def test_a_retry_has_more_memory_and_time_up_to_a_day(plan):
    def of(study):
        wildcards = SimpleNamespace(study=study)
        attempts = (1, 2, 3)
        return [[f(wildcards, n) for n in attempts] for f in (plan.mem_mb, plan.runtime)]

    assert of("renda2020_resnet20") == [[4000, 6000, 8000], [240, 480, 960]]
    assert of("renda2020_resnet110")[1] == [960, 1440, 1440]
    assert of("gsm2019_resnet56")[1] == [2880, 2880, 2880]
