"""What the rules of this wing ask."""

from types import SimpleNamespace

import yaml

from pruning.running.code_version import code_version, modules
from pruning.study.asks import Workflow
from tests.conftest import REPOSITORY, SCHEMAS

THRESHOLD = "pruning.systems.gsm.threshold"


def test_every_stage_that_thresholds_has_the_rules_code_in_its_version():
    config = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    plan = Workflow(config | {"study_folder": str(REPOSITORY / "config/studies")}, SCHEMAS)
    cell = SimpleNamespace(study="digits", seed="0", chain="gsm/gsm/unmodified", level="1")
    expected = code_version(
        "pruning.stages.prune",
        *plan.study("digits").code_entries(),
        "pruning.masks.weights:prune_weights",
        "pruning.scores.magnitude:magnitude",
        f"{THRESHOLD}:gsm",
    )
    assert plan.prune_stage(cell)["code_version"] == expected
    for stage in ("training", "sensitivity"):
        assert THRESHOLD in modules(f"pruning.systems.gsm.stages.{stage}")
