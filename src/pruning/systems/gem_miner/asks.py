"""What the rules about searches of random networks ask: inputs and parameters of their stages."""

from collections.abc import Mapping
from typing import Any

from pruning import registry
from pruning.errors import PruningError
from pruning.study.asks import Workflow, for_rules, ordered
from pruning.systems.gem_miner import places
from pruning.systems.gem_miner.rules import BASELINES
from pruning.systems.gem_miner.section import Cell, GemMiner


class GemMinerAsks:
    """Inputs and parameters from studies' ``gem_miner`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow

    # -- searching ----------------------------------------------------------------------------

    @for_rules
    def search_stage(self, wildcards: Any) -> dict[str, Any]:
        """What every stage is told, with the code of the recipe's optimizer and initialization."""
        part, cell = self._searched(wildcards)
        recipe = part.settings[cell.method].search
        return self._stage("search", wildcards, recipe, part.initialization)

    @for_rules
    def search_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, how its search is set, and by which recipe."""
        part, cell = self._searched(wildcards)
        return {
            **_names(cell),
            "initialization": part.initialization,
            "recipe": ordered(part.settings[cell.method].search),
            "search": ordered(part.search(cell).to_dict()),
        }

    # -- training -----------------------------------------------------------------------------

    @for_rules
    def training_input(self, wildcards: Any) -> dict[str, str]:
        """The mask, and the network that was searched, or the study's own initial state."""
        part, cell = self._trained(wildcards)
        study, seed = self.workflow.study(wildcards.study), wildcards.seed
        own = part.mask_of(cell)
        inputs = self.workflow.masked(study.name, seed, places.chain_of(own), own.level)
        if cell.method in BASELINES:
            return {**inputs, "state": places.initial_state(study, seed)}
        search = places.search_folder(study.name, seed, part.found_by(cell))
        inputs["search_summary"] = f"{search}/summary.json"
        if part.variant(cell).weights == "kept":
            inputs["state"] = f"{search}/{places.NETWORK}"
        return inputs

    @for_rules
    def training_stage(self, wildcards: Any) -> dict[str, Any]:
        """As :meth:`search_stage`, of the recipe that the network is trained by."""
        part, cell = self._trained(wildcards)
        recipe = self._recipe(wildcards, part, cell)
        return self._stage("train", wildcards, recipe, self._initialization(part, cell))

    @for_rules
    def training_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, how fresh weights are drawn, and by which recipe it trains."""
        part, cell = self._trained(wildcards)
        return {
            **_names(cell),
            "fan_share": part.fresh_fan_share(cell),
            "initialization": self._initialization(part, cell),
            "recipe": ordered(self._recipe(wildcards, part, cell)),
        }

    def _initialization(self, part: GemMiner, cell: Cell) -> str:
        return part.variant(cell).initialization or part.initialization

    def _recipe(self, wildcards: Any, part: GemMiner, cell: Cell) -> Any:
        return part.recipe(cell, self.workflow.study(wildcards.study).task["recipe"])

    def _stage(
        self, name: str, wildcards: Any, recipe: Mapping[str, Any], initialization: str
    ) -> dict[str, Any]:
        extra = (
            registry.entry("optimizer", recipe["optimizer"]["name"]),
            registry.entry("initialization", initialization),
        )
        return self.workflow.stage(f"pruning.systems.gem_miner.stages.{name}", extra)(wildcards)

    def _part(self, wildcards: Any) -> GemMiner:
        return self.workflow.study(wildcards.study).part("gem_miner")

    def _searched(self, wildcards: Any) -> tuple[GemMiner, Cell]:
        return self._known(wildcards, self._part(wildcards).searched(), "search by")

    def _trained(self, wildcards: Any) -> tuple[GemMiner, Cell]:
        return self._known(wildcards, self._part(wildcards).cells, "train what is found by")

    def _known(self, wildcards: Any, cells: Any, what: str) -> tuple[GemMiner, Cell]:
        cell = Cell(wildcards.method, wildcards.variant, int(wildcards.level))
        if cell not in cells:
            raise PruningError(
                f"Study {wildcards.study!r} does not {what} {cell.method} ({cell.variant}) at "
                f"level {cell.level}. Its `gem_miner` section says what it does."
            )
        return self._part(wildcards), cell


def _names(cell: Cell) -> dict[str, Any]:
    return {"level": cell.level, "method": cell.method, "variant": cell.variant}
