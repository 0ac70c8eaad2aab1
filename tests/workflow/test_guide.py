"""docs/adding-a-system.md, followed to the letter: its code runs from a study to a figure."""

import csv
import re
import textwrap

from tests.conftest import REPOSITORY

WING = "src/pruning/systems/mine/"
FILES = (  # of the guide's blocks of code, in their order
    f"{WING}section.py",
    "workflow/schemas/systems/mine.yaml",
    f"{WING}places.py",
    f"{WING}asks.py",
    f"{WING}stages/train.py",
    "workflow/rules/mine.smk",
    "workflow/scripts/mine.py",
    f"{WING}figures.py",
    f"{WING}catalog.py",
    f"{WING}system.py",
)
STUDY = """
title: Mine
dataset: digits
network: {name: mlp, options: {widths: [16]}}
seeds: [0, 1]
recipe:
  epochs: 2
  batches: {size: 64}
  optimizer: {options: {momentum: 0.9}}
  schedule: {learning_rate: 0.1}
mine: {densities: [0.5, 0.25]}
"""
TARGET = "plots/own/mine_scores.pdf"


def test_who_follows_the_guide_has_a_system(project):
    guide = (REPOSITORY / "docs" / "adding-a-system.md").read_text()
    blocks = re.findall(r"^( *)```\w+\n(.*?)^\1```$", guide, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == len(FILES)
    for file, (_, code) in zip(FILES, blocks, strict=True):
        path = project.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
    for folder in ("", "stages/"):
        (project.root / WING / folder / "__init__.py").write_text('"""Mine."""\n')
    gsm = '    "pruning.systems.gsm.system:SYSTEM",\n'
    mine = gsm.replace("gsm", "mine")
    project.edit("src/pruning/systems/__init__.py", gsm, gsm + mine)
    (project.root / "config/studies/own.yaml").write_text(STUDY)
    project.edit("config/studies/own.yaml", "0.5, 0.25", "0.5, 1.25")
    output = project.snakemake(TARGET, "--dry-run", check=False)
    assert "density 1.25 in mine.densities lies outside (0, 1]" in output
    project.edit("config/studies/own.yaml", "0.5, 1.25", "0.5, 0.25")
    project.snakemake(TARGET)
    assert project.plan(target=TARGET) == {}
    with open(project.root / TARGET.replace(".pdf", ".csv")) as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], float(row["density"])) for row in rows] == [
        ("dense", 1.0), ("mine", 0.5), ("mine", 0.25)
    ]  # fmt: skip
    assert all(float(row["mean"]) > 50 for row in rows)
