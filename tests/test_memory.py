"""Memory that a training frees is there for its next step."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from pruning.training.memory import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
def fill():
    torch.empty(2**23).fill_(1.0)
for _ in range(20):
    fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of GNU's C library")
def test_what_is_freed_is_not_fetched_again():
    plain, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True).stdout)
        for how in ("plain", "kept")
    )
    if plain < 1000:
        pytest.skip("this C library keeps what is freed by itself")
    assert kept < plain / 20
