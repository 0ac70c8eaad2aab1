"""What the rules about global sparse momentum SGD ask: inputs and parameters of its stages."""

from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.study.asks import Workflow, for_rules, ordered
from pruning.study.places import dense_folder, rewind_state
from pruning.study.study import Study
from pruning.systems.gsm import places
from pruning.systems.gsm.section import OPTIMIZER, TICKETS


class GsmAsks:
    """Inputs and parameters from studies' ``gsm`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        entry = registry.entry("optimizer", OPTIMIZER)
        self.zero_stage = workflow.stage("pruning.systems.gsm.stages.zero")
        self.ticket_stage = workflow.stage("pruning.systems.gsm.stages.ticket")
        self.sensitivity_stage = workflow.stage("pruning.systems.gsm.stages.sensitivity")
        self.training_stage = workflow.stage("pruning.systems.gsm.stages.training", (entry,))

    # -- training -----------------------------------------------------------------------------

    @for_rules
    def training_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the dense training that it goes on from."""
        study = self.workflow.study(wildcards.study)
        cell = (wildcards.variant, int(wildcards.level))
        _require(cell, list(study.part("gsm").trainings()), study, "train by GSM")
        dense = dense_folder(study.name, wildcards.seed)
        return {
            "data": self.workflow.data_file(wildcards),
            "dense": f"{dense}/state.safetensors",
            "dense_summary": f"{dense}/summary.json",
        }

    @for_rules
    def training_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and its recipe."""
        variant, level = wildcards.variant, int(wildcards.level)
        gsm = self.workflow.study(wildcards.study).part("gsm")
        return {
            "level": level,
            "recipe": ordered(gsm.training_recipe(variant, level)),
            "variant": variant,
        }

    # -- zeroing, tickets -----------------------------------------------------------------------

    @for_rules
    def zero_input(self, wildcards: Any) -> dict[str, str]:
        """The training, and the mask of what is kept of it."""
        study = self.workflow.study(wildcards.study)
        method, variant, level = wildcards.zeroed, wildcards.variant, int(wildcards.level)
        _require((method, variant, level), list(study.part("gsm").zeroed()), study, "zero")
        trained = places.zeroed_folder(study.name, wildcards.seed, method, variant, level)
        return {
            **self._masked(study, wildcards, method),
            "trained": f"{trained}/state.safetensors",
            "trained_summary": f"{trained}/summary.json",
        }

    @for_rules
    def zero_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell."""
        return _cell(wildcards, wildcards.zeroed)

    @for_rules
    def ticket_input(self, wildcards: Any) -> dict[str, str]:
        """The mask, the initial state, and what finding the mask has cost."""
        study, seed = self.workflow.study(wildcards.study), wildcards.seed
        name, variant, level = wildcards.ticket, wildcards.variant, int(wildcards.level)
        _require(
            (name, variant, level), list(study.part("gsm").ticket_cells()), study, "train tickets"
        )
        method = TICKETS[name]
        pruned = places.zeroed_folder(study.name, seed, method, variant, level)
        return {
            **self._masked(study, wildcards, method),
            "state": rewind_state(study.name, seed, study.task["recipe"]["epochs"]),
            "pruned_summary": f"{pruned}/summary.json",
        }

    @for_rules
    def ticket_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and how long it trains."""
        epochs = self.workflow.study(wildcards.study).task["recipe"]["epochs"]
        return _cell(wildcards, wildcards.ticket) | {"epochs": epochs}

    @for_rules
    def sensitivity_params(self, wildcards: Any) -> list[float]:
        """Densities that single layers are pruned to."""
        study = self.workflow.study(wildcards.study)
        if not study.part("gsm").sensitivity:
            raise PruningError(f"Study {study.name!r} gives no densities as `gsm.sensitivity`.")
        return list(study.part("gsm").sensitivity)

    def _masked(self, study: Study, wildcards: Any, method: str) -> dict[str, str]:
        chain = places.chain_of(method, wildcards.variant)
        return self.workflow.masked(study.name, wildcards.seed, chain, wildcards.level)


def _cell(wildcards: Any, method: str) -> dict[str, Any]:
    return {"level": int(wildcards.level), "method": method, "variant": wildcards.variant}


def _require(cell: tuple, cells: list[tuple], study: Study, what: str) -> None:
    if cell not in cells:
        known = "; ".join(" ".join(map(str, c)) for c in cells) or "nothing"
        raise PruningError(
            f"Study {study.name!r} does not {what} {' '.join(map(str, cell))}. Its `gsm` section "
            f"says: {known}."
        )
