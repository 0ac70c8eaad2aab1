"""What the rules about global sparse momentum SGD ask: inputs and parameters of its stages."""

from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.running.code_version import code_version
from pruning.study import places as layout
from pruning.study.asks import Workflow, for_rules, ordered
from pruning.study.study import Study
from pruning.systems.gsm.section import OPTIMIZER, TICKETS


class GsmPlan:
    """Inputs and parameters from studies' ``gsm`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        entry = registry.entry("optimizer", OPTIMIZER)
        self.training_stage = workflow.stage("gsm", (entry,))

    # -- training -----------------------------------------------------------------------------

    @for_rules
    def training_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the dense training that it goes on from."""
        study = self._study(wildcards.study)
        cell = (wildcards.variant, int(wildcards.level))
        _require(cell, list(study.gsm.trainings()), study, "train by GSM")
        dense = layout.dense_folder(study.name, wildcards.seed)
        return {
            "data": self.workflow.data_file(wildcards),
            "dense": f"{dense}/state.safetensors",
            "dense_summary": f"{dense}/summary.json",
        }

    @for_rules
    def training_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and its recipe."""
        variant, level = wildcards.variant, int(wildcards.level)
        gsm = self._study(wildcards.study).gsm
        return {
            "level": level,
            "recipe": ordered(gsm.training_recipe(variant, level)),
            "variant": variant,
        }

    # -- zeroing, tickets -----------------------------------------------------------------------

    @for_rules
    def zero_input(self, wildcards: Any) -> dict[str, str]:
        """The training, and the mask of what is kept of it."""
        study = self._study(wildcards.study)
        method, variant, level = wildcards.zeroed, wildcards.variant, int(wildcards.level)
        _require((method, variant, level), list(study.gsm.zeroed()), study, "zero")
        trained = layout.zeroed_folder(study.name, wildcards.seed, method, variant, level)
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
        study, seed = self._study(wildcards.study), wildcards.seed
        name, variant, level = wildcards.ticket, wildcards.variant, int(wildcards.level)
        _require((name, variant, level), list(study.gsm.ticket_cells()), study, "train tickets")
        method = TICKETS[name]
        pruned = layout.zeroed_folder(study.name, seed, method, variant, level)
        return {
            **self._masked(study, wildcards, method),
            "state": layout.rewind_state(study.name, seed, study.task["recipe"]["epochs"]),
            "pruned_summary": f"{pruned}/summary.json",
        }

    @for_rules
    def ticket_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and how long it trains."""
        epochs = self._study(wildcards.study).task["recipe"]["epochs"]
        return _cell(wildcards, wildcards.ticket) | {"epochs": epochs}

    @for_rules
    def sensitivity_params(self, wildcards: Any) -> list[float]:
        """Densities that single layers are pruned to."""
        study = self._study(wildcards.study)
        if not study.gsm.sensitivity:
            raise PruningError(f"Study {study.name!r} gives no densities as `gsm.sensitivity`.")
        return list(study.gsm.sensitivity)

    def _masked(self, study: Study, wildcards: Any, method: str) -> dict[str, str]:
        chain = layout.gsm_chain(method, wildcards.variant)
        mask = layout.mask(study.name, wildcards.seed, chain, wildcards.level)
        return {
            "data": self.workflow.data_file(wildcards),
            "mask": mask,
            "mask_metadata": layout.mask_metadata(mask),
        }

    # -- tables ---------------------------------------------------------------------------------

    @for_rules
    def gather_input(self, wildcards: Any) -> list[str]:
        """Every file behind a table that is gathered from single cells."""
        cells = layout.gathered(self._study(wildcards.study), wildcards.gathered)
        return list(dict.fromkeys(path for pair in cells for path in pair))

    @for_rules
    def gather_params(self, wildcards: Any) -> dict[str, Any]:
        """The cells, code version, and the count of repairs."""
        study, name = self._study(wildcards.study), wildcards.gathered
        watched = tuple(self.gather_input(wildcards))
        return {
            "cells": [list(pair) for pair in layout.gathered(study, name)],
            "code_version": code_version("pruning.stages.gather"),
            "repairs": self.workflow.repairs(layout.table(study.name, name), watched),
        }

    def _study(self, name: str) -> Study:
        study = self.workflow.study(name)
        if study.gsm is None:
            raise PruningError(f"Study {name!r} has no `gsm` section.")
        return study


def _cell(wildcards: Any, method: str) -> dict[str, Any]:
    return {"level": int(wildcards.level), "method": method, "variant": wildcards.variant}


def _require(cell: tuple, cells: list[tuple], study: Study, what: str) -> None:
    if cell not in cells:
        known = "; ".join(" ".join(map(str, c)) for c in cells) or "nothing"
        raise PruningError(
            f"Study {study.name!r} does not {what} {' '.join(map(str, cell))}. Its `gsm` section "
            f"says: {known}."
        )
