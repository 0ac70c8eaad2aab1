"""A sample of the campaigns, with fixed seeds; `make campaign` runs them at length."""

import re
import subprocess
import sys

from tests.conftest import REPOSITORY


def test_a_sample_of_every_campaign_ends_well(finished_once, tmp_path_factory):
    """Nothing is accepted with other numbers; no traceback, hang or crash; nothing half-written."""
    folder = tmp_path_factory.mktemp("campaigns")
    sampled = ("damage", "20", "resume", "3", "kill", "2", "configuration", "5", "disk", "8")
    run = subprocess.run(
        [sys.executable, "-m", "tests.campaigns", "--jobs", "1", "--sample", *sampled,
         "--folder", str(folder), "--project", str(finished_once.root)],
        cwd=REPOSITORY, env=finished_once.environment() | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    # Sampled cases whose damage changes nothing are left out.
    tried = {name: int(count) for name, count in re.findall(r"\| (\w+) \| (\d+) ", run.stdout)}
    assert tried["damage"] >= 15
    assert tried["all"] >= 30
