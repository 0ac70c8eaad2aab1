"""The documents' promises: what they show runs, what they list agrees."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import yaml

from pruning import registry
from pruning.training.checkpoint import load_state
from tests.conftest import REPOSITORY
from tests.workflow.conftest import make_project

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def names(requirements):
    return {re.split(r"[<>=!~ \[]", r)[0].lower() for r in requirements}


@pytest.mark.parametrize(("number", "density"), [(0, 0.1), (1, 0.2)])
def test_the_readmes_python_runs(tmp_path, number, density):
    code = blocks(REPOSITORY / "README.md", "python")[number]
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found, scores = run.stdout.split(" ", 1)
    assert float(found) == pytest.approx(density, abs=1e-3)
    assert float(re.search(r"'accuracy': ([0-9.]+)", scores)[1]) > 0.5
    lines = [line for line in code.splitlines() if line]
    assert len(lines) < 25


def test_the_python_of_searches_runs(tmp_path):
    network, code = blocks(REPOSITORY / "docs/gem-miner.md", "python")
    (tmp_path / "mine.py").write_text(network)
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    before, after = (line.split(" ", 1) for line in run.stdout.splitlines())
    assert float(before[0]) == float(after[0]) == pytest.approx(0.1, abs=2e-3)
    first, last = (float(re.search(r"'accuracy': ([0-9.]+)", x[1])[1]) for x in (before, after))
    assert 0.5 < first < last


def test_the_manual_of_studies_names_every_network():
    manual = (REPOSITORY / "config/README.md").read_text()
    (row,) = (line for line in manual.splitlines() if line.startswith("| `network` |"))
    assert [n for n in registry.known("network") if f"`{n}`" not in row] == []


def together(commands):
    """Commands of Snakemake that differ in their targets alone, as one with all of these."""
    targets = {}
    for command in commands:
        options = tuple(word for word in command if not word.startswith(("plots", "results")))
        targets.setdefault(options, []).extend(word for word in command if word not in options)
    return [[*options[:1], *wanted, *options[1:]] for options, wanted in targets.items()]


def test_every_snakemake_command_of_the_documents_is_valid(tmp_path):
    project = make_project(tmp_path / "project")
    (project.root / "tests").symlink_to(REPOSITORY / "tests")  # has a profile
    for study in (project.root / "config/studies").iterdir():
        # One seed: what a command asks for is as valid, and a grid of thousands of jobs the less.
        study.write_text(re.sub(r"^seeds: \[0.*\]$", "seeds: [0]", study.read_text(), flags=re.M))
    commands = [
        shlex.split(line, comments=True)
        for path in DOCUMENTS
        for block in blocks(path, "sh")
        for line in block.splitlines()
        if line.startswith("snakemake")
    ]
    assert len(commands) >= 5
    for _, *arguments in together(dict.fromkeys(map(tuple, commands))):
        if "--report" in arguments:
            continue  # needs finished results; tests/workflow makes one
        project.snakemake(*arguments, "--dry-run", "--quiet", "all", cores=None)


def test_environment_yml_lists_what_pyproject_lists():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = names([*project["dependencies"], *project["optional-dependencies"]["dev"]])
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    (by_pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    by_conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    listed = names([*by_conda, *(d for d in by_pip if not d.startswith("-"))])
    listed = {"torch" if name == "pytorch" else name for name in listed}
    assert listed - {"python", "pip"} == wanted


def test_constraints_pin_versions_and_name_no_place():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)
    pinned = names(pins)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = names([*project["dependencies"], *(name for extra in extras for name in extra)])
    assert wanted - pinned == {"torch", "torchvision"}


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(((?!https://)[^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_public_names_exist():
    import pruning

    for name in pruning.__all__:
        assert getattr(pruning, name).__doc__ or name == "RULES"
    with pytest.raises(AttributeError):
        pruning.no_such_name  # noqa: B018


def test_the_command_line(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pruning.cli", *arguments],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    config = ("--config", str(REPOSITORY / "config" / "config.yaml"))
    assert "digits: 3 seeds" in run(*config, "check").stdout
    trained = run(*config, "dense", "digits", "--steps", "30", "--output", "out")
    assert trained.returncode == 0, trained.stderr
    assert "30 steps in" in trained.stdout
    assert load_state(tmp_path / "out" / "state.safetensors").step == 30
    assert (tmp_path / "out" / "metrics.csv").read_text().startswith("epoch,step,")
    wrong = run(*config, "check", "digit")
    assert wrong.returncode == 1
    assert "Did you mean 'digits'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    missing = run("--config", "nothing.yaml", "check")
    assert "nothing.yaml cannot be read" in missing.stderr


PAPERS = {"2003.02389", "2009.08576", "1909.12778", "2202.12002", "1901.09290"}


def test_the_version_is_the_same_everywhere():
    import pruning

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)
    assert released[0] == "Unreleased"
    assert {project["version"], citation["version"], released[1]} == {pruning.__version__}
    run = subprocess.run(
        [sys.executable, "-m", "pruning.cli", "--version"], capture_output=True, text=True
    )
    assert run.stdout == f"pruning {project['version']}\n"


def test_the_citation_has_what_its_format_asks_for_and_the_papers():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    told = _citations()
    found = set()
    for paper in citation["references"]:
        assert {"type", "title", "authors", "year", "identifiers"} <= paper.keys()
        assert all(author.keys() == {"family-names"} for author in paper["authors"])
        names = ", ".join(author["family-names"] for author in paper["authors"])
        assert f"{names}: {paper['title']}. {paper['collection-title']}".replace("?.", "?") in told
        assert paper["collection-title"].endswith(str(paper["year"]))
        found |= {i["value"].removeprefix("arXiv:") for i in paper["identifiers"]}
    assert found == PAPERS
    assert len(citation["references"]) == len(told)


def _citations():
    from pruning.systems import systems

    return [system.citation for system in systems()]


def test_the_license_is_the_one_that_is_named():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    text = (REPOSITORY / "LICENSE").read_text()
    assert text.startswith("MIT License\n\nCopyright (c) 2026 the pruning authors\n")
    assert {project["license"], citation["license"]} == {"MIT"}
    assert project["license-files"] == ["LICENSE"]


def test_the_catalog_of_workflows_is_told_how_to_run_this_one():
    told = yaml.safe_load((REPOSITORY / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"mandatory-flags", "software-stack-deployment", "report"} <= told.keys()
    assert {"desc", "flags"} == told["mandatory-flags"].keys()
    # Such a deployment needs rules with environments of their own.
    rules = "".join(p.read_text() for p in (REPOSITORY / "workflow/rules").glob("*.smk"))
    assert told["software-stack-deployment"]["conda"] == ("conda:" in rules)
    for needed in ("config/README.md", "workflow/Snakefile"):
        assert (REPOSITORY / needed).is_file()


def test_a_report_has_every_figure_as_png_and_as_pdf():
    """Of the rules that draw, none has a way of its own to be in a report."""
    rules = {p.name: p.read_text() for p in (REPOSITORY / "workflow/rules").glob("*.smk")}
    common = rules.pop("common.smk")
    assert '"pdf": shown("pdf"), "png": shown("png")' in common
    drawing = [text for text in rules.values() if "figure.py" in text or "as published_fig" in text]
    outputs = [m for text in drawing for m in re.findall(r"\*\*drawn\(\n\s+\"(plots/[^\"]+)", text)]
    assert len(outputs) == 4
    assert not any('.pdf"' in text or '.png"' in text for text in rules.values())
