"""What this wing's rules ask: inputs and parameters of its stages."""

from typing import Any

from pruning.errors import PruningError
from pruning.study.asks import Workflow, for_rules
from pruning.systems.at_init import places
from pruning.systems.at_init.rules import method, variant
from pruning.systems.at_init.section import Cell


class AtInitAsks:
    """Inputs and parameters from studies' ``at_init`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.training_stage = workflow.stage("pruning.systems.at_init.stages.train")

    @for_rules
    def training_input(self, wildcards: Any) -> dict[str, str]:
        """Mask, and the state to train from unless weights are drawn anew."""
        cell, study = self._cell(wildcards), self.workflow.study(wildcards.study)
        chain = places.chain_of(cell)
        inputs = self.workflow.masked(study.name, wildcards.seed, chain, cell.level)
        if variant(cell.variant).weights == "kept":
            epoch = study.part("at_init").trained_epoch(cell)
            inputs["state"] = places.state_at(study, wildcards.seed, epoch)
        return inputs

    @for_rules
    def training_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and what its rows say of training."""
        cell = self._cell(wildcards)
        return {
            "epoch": cell.epoch,
            "epochs": self.workflow.study(wildcards.study).part("at_init").epochs(cell),
            "level": cell.level,
            "method": cell.method,
            "schedule": method(cell.method).schedule,
            "variant": cell.variant,
        }

    def _cell(self, wildcards: Any) -> Cell:
        study = self.workflow.study(wildcards.study)
        part = study.part("at_init")
        method(wildcards.method)
        variant(wildcards.variant)
        cell = Cell(
            wildcards.method, wildcards.variant, float(wildcards.epoch), int(wildcards.level)
        )
        if cell not in part.cells:
            raise PruningError(
                f"Study {study.name!r} does not prune by {cell.method} ({cell.variant}) at epoch "
                f"{cell.epoch:g} to level {cell.level}. Its `at_init` section says what it does."
            )
        return cell
