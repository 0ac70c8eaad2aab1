"""A system in files outside of the package, from its section to its claims."""

import shutil

import pandas as pd
import pytest

from tests.conftest import REPOSITORY
from tests.workflow.conftest import TINY, make_project
from tests.workflow.test_rewinding_paper import planned

SECTION = "toy: {densities: [0.5, 0.1]}\n"
FIGURE = "plots/small/toy_accuracy.pdf"
TARGETS = (FIGURE, "plots/small/toy_claims.csv")
EVERYTHING = "plots_small"


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("toy") / "project")
    shutil.copytree(
        REPOSITORY / "tests/systems/toy",
        project.root / "toy",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    study = TINY[: TINY.index("rewinding:")] + SECTION
    (project.root / "config/studies/small.yaml").write_text(study)
    config = "extensions: [toy/toy.py]\n\n# auto: a GPU"
    project.edit("config/config.yaml", "# auto: a GPU", config)
    counted = planned(project, "small")
    assert counted == project.plan(target=EVERYTHING)
    expected = {"toy": 2, "prune": 2, "report": 2, "rewind_state": 1, "claims": 1}
    assert {rule: counted[rule] for rule in expected} == expected
    project.snakemake(*TARGETS)
    return project


@pytest.fixture
def finished(finished_once, tmp_path):
    return finished_once.copy(tmp_path / "project")


def test_its_figure_and_claims_are_there(finished_once):
    plots = finished_once.root / "plots/small"
    assert (plots / "toy_accuracy.pdf").read_bytes().startswith(b"%PDF")
    drawn = pd.read_csv(plots / "toy_accuracy.csv").set_index("level")
    assert drawn["method"].to_dict() == {0: "dense", 1: "random_ticket", 2: "random_ticket"}
    assert drawn["density"].to_dict() == {0: 1.0, 1: 0.5, 2: 0.1}
    assert drawn["value"][1] > 0.5
    (claim,) = pd.read_csv(plots / "toy_claims.csv").to_dict("records")
    assert (claim["claim"], claim["cells"], claim["satisfied"]) == ("1a", 2, 2)
    assert (claim["replicates"], claim["verdict"]) == (1, "one replicate")  # one seed
    page = (plots / "toy_claims.md").read_text()
    assert page.startswith("# Tiny\n")
    assert "| 1a | A random ticket trains. | 2 of 2 |" in page
    for target in TARGETS:
        assert finished_once.plan(target=target) == {}


def test_its_edits_rerun_what_they_reach(finished):
    def plans():
        return [finished.plan(target=target) for target in TARGETS]

    finished.edit("toy/stage.py", "initial state ->", "first state ->")
    finished.edit("toy/toy.py", "Nobody:", "Somebody:")
    assert plans() == [{}, {}]
    finished.edit("toy/show.py", "least=-95.0", "least=200.0")
    assert plans() == [{"figure": 1}, {"claims": 1}]
    finished.snakemake(*TARGETS)
    (claim,) = pd.read_csv(finished.root / TARGETS[1]).to_dict("records")
    assert claim["satisfied"] == 0
    finished.edit("toy/stage.py", 'SCHEDULE = "whole"', 'SCHEDULE = "rest"')
    trained = {"toy": 2, "collect": 1}
    both = {"collect": 2, "claims": 1}  # the page takes a table beside its own
    assert plans() == [trained | {"figure": 1}, trained | both]
    finished.edit("config/studies/small.yaml", "[0.5, 0.1]", "[0.5, 0.2]")
    trained |= {"prune": 1, "report": 1}
    assert plans() == [trained | {"figure": 1}, trained | both]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("toy: {", "toi: {", "unknown key 'toi' in the file. Did you mean 'toy'?"),
        ("densities:", "densties:", "unknown key 'densties' in toy. Did you mean 'densities'?"),
        ("[0.5, 0.1]", "[0.1, 0.5]", "toy.densities must fall from level to level"),
    ],
)
def test_mistakes_in_its_section_are_named(finished, old, new, message):
    finished.edit("config/studies/small.yaml", old, new)
    output = finished.snakemake(FIGURE, "--dry-run", check=False)
    assert message in output
    assert "Traceback" not in output


def test_check_counts_its_jobs_and_other_studies_have_none(finished):
    assert "jobs: 2 toy" in finished.pruning("check", "small")
    assert "toy" not in planned(finished, "tiny")


def test_an_error_in_its_code_names_file_and_line(finished):
    for old, place in (
        ('check_densities(values["densities"], "toy")', "in _read"),
        ("level = self.workflow.study(wildcards.study), int(wildcards.level)", "in training_input"),
    ):
        finished.edit("toy/toy.py", old, f"{old}, 1 / 0")
        output = finished.snakemake("--dry-run", "--forceall", FIGURE, check=False)
        assert "Error: toy/toy.py, line " in output
        assert f"{place}: ZeroDivisionError: " in output
        assert "Traceback" not in output
        finished.edit("toy/toy.py", f"{old}, 1 / 0", old)
    finished.edit("toy/show.py", "test = tidy[", "test = 1 / 0, tidy[")
    for target in TARGETS:
        output = finished.snakemake(target, check=False)
        assert "Error: toy/show.py, line 11 in _accuracies: ZeroDivisionError: " in output
