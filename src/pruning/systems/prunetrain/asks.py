"""What the rules about networks that shrink ask: inputs and parameters of their stages."""

from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.study.asks import Workflow, for_rules, ordered
from pruning.study.places import dense_folder
from pruning.systems.prunetrain import places
from pruning.systems.prunetrain.rules import FINE_TUNED, METHODS, UNMODIFIED
from pruning.systems.prunetrain.section import Cell, PruneTrain


class PruneTrainAsks:
    """Inputs and parameters from studies' ``prunetrain`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow

    # -- shrinking ----------------------------------------------------------------------------

    @for_rules
    def shrink_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the dense network where it begins with that: it is trained first, or given."""
        _, cell = self._shrinking(wildcards)
        inputs = {"data": self.workflow.data_file(wildcards)}
        if METHODS[cell.method].trained or self.workflow.study(wildcards.study).given:
            dense = dense_folder(wildcards.study, wildcards.seed)
            inputs["dense"] = f"{dense}/state.safetensors"
            inputs["dense_summary"] = f"{dense}/summary.json"
        return inputs

    @for_rules
    def shrink_stage(self, wildcards: Any) -> dict[str, Any]:
        """What every stage is told, with the code of the recipe's optimizer."""
        part, _ = self._shrinking(wildcards)
        return self._stage("shrink", wildcards, part.recipe)

    @for_rules
    def shrink_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, how it is set, and by which recipe."""
        part, cell = self._shrinking(wildcards)
        return {
            **_names(cell),
            "recipe": ordered(part.recipe),
            "settings": ordered(part.told(cell)),
        }

    # -- fine-tuning --------------------------------------------------------------------------

    @for_rules
    def finetune_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the training that shrank the network."""
        _, cell = self._finetuning(wildcards)
        shrunk = Cell(cell.method, UNMODIFIED, cell.level)
        folder = places.folder(wildcards.study, wildcards.seed, shrunk)
        return {
            "data": self.workflow.data_file(wildcards),
            "shrunk": f"{folder}/state.safetensors",
            "shrunk_summary": f"{folder}/summary.json",
        }

    @for_rules
    def finetune_stage(self, wildcards: Any) -> dict[str, Any]:
        """As :meth:`shrink_stage`."""
        part, _ = self._finetuning(wildcards)
        return self._stage("finetune", wildcards, part.finetune)

    @for_rules
    def finetune_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and by which recipe."""
        part, cell = self._finetuning(wildcards)
        ratio = part.ratios[cell.level - 1]
        return {**_names(cell), "ratio": ratio, "recipe": ordered(part.finetune)}

    def _stage(self, name: str, wildcards: Any, recipe: Mapping[str, Any]) -> dict[str, Any]:
        extra = (registry.entry("optimizer", recipe["optimizer"]["name"]),)
        return self.workflow.stage(f"pruning.systems.prunetrain.stages.{name}", extra)(wildcards)

    def _shrinking(self, wildcards: Any) -> tuple[PruneTrain, Cell]:
        part = self.workflow.study(wildcards.study).part("prunetrain")
        return part, _known(wildcards, UNMODIFIED, part.shrinking(), "train")

    def _finetuning(self, wildcards: Any) -> tuple[PruneTrain, Cell]:
        part = self.workflow.study(wildcards.study).part("prunetrain")
        return part, _known(wildcards, FINE_TUNED, part.finetunings(), "fine-tune")


def _known(wildcards: Any, variant: str, cells: Any, what: str) -> Cell:
    cell = Cell(wildcards.method, variant, int(wildcards.level))
    if cell not in set(cells):
        raise PruningError(
            f"Study {wildcards.study!r} does not {what} {cell.method} at level {cell.level}. Its "
            "`prunetrain` section says what it does."
        )
    return cell


def _names(cell: Cell) -> dict[str, Any]:
    return {"level": cell.level, "method": cell.method, "variant": cell.variant}
