"""What docs/prunetrain.md says can be run."""

import subprocess
import sys

import yaml

from pruning.systems.prunetrain.rules import METHODS
from tests.conftest import REPOSITORY
from tests.test_packaging import blocks

DOCUMENT = REPOSITORY / "docs" / "prunetrain.md"


def test_its_python_runs(tmp_path):
    (code,) = blocks(DOCUMENT, "python")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    left, _, built = run.stdout.split()[:3]
    assert 0 < int(left) <= int(built) == 16


def test_its_section_names_methods_there_are_and_its_table_all_of_them():
    (section,) = blocks(DOCUMENT, "yaml")
    assert set(yaml.safe_load(section)["prunetrain"]["methods"]) <= set(METHODS)
    text = DOCUMENT.read_text()
    assert all(f"| `{name}` |" in text for name in METHODS)
    keys = (REPOSITORY / "config/README.md").read_text()
    assert all(f"`{name}`" in keys for name in METHODS)
