"""What this wing's rules ask: inputs and parameters of its stages."""

import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from pruning.errors import PruningError
from pruning.files import digest, read_json
from pruning.running.code_version import code_version
from pruning.running.jobs import Untracked
from pruning.study.asks import Workflow, for_rules
from pruning.study.places import dense_folder, mask, rewind_state
from pruning.study.study import Study
from pruning.systems.rewinding import places
from pruning.systems.rewinding.algorithm import NO_VALIDATION, matches
from pruning.systems.rewinding.rules import rule
from pruning.systems.rewinding.section import Mode, modes

RETRAIN = "pruning.systems.rewinding.stages.retrain"
ALGORITHM = "pruning.systems.rewinding.stages.algorithm"
# Of the rules that lead to a judgement.
SCRIPTS = ("prepare_data", "dense", "rewind_state", "prune", "retrain", "algorithm_level")


class RewindingAsks:
    """Inputs and parameters from studies' ``rewinding`` and ``algorithm`` sections.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.retrain_stage = workflow.stage(RETRAIN)

    # -- retraining -----------------------------------------------------------------------------

    @for_rules
    def retrain_input(self, wildcards: Any) -> dict[str, str]:
        """Mask, pruned training and, where the method needs it, the rewind state."""
        self._check_cell(wildcards)
        study, seed, level = wildcards.study, wildcards.seed, wildcards.level
        place = (wildcards.mode, wildcards.method, wildcards.time)
        chain = places.cell_chain(self.workflow.study(study), *place)
        parent = places.pruned_folder(study, seed, chain, level)
        inputs = {
            **self.workflow.masked(study, seed, chain, level),
            "parent": f"{parent}/state.safetensors",
            "parent_summary": f"{parent}/summary.json",
        }
        if rule(wildcards.method).needs_rewind_state:
            inputs["rewind"] = rewind_state(study, seed, wildcards.time)
        return inputs

    @for_rules
    def retrain_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and the method's row of the re-training table."""
        self._mode_pruning(wildcards.study, wildcards.mode, wildcards.level)
        rewinding = self.workflow.study(wildcards.study).parts.get("rewinding")
        return {
            "data_order": rewinding.data_order if rewinding else "fresh",
            "level": int(wildcards.level),
            "method": wildcards.method,
            "mode": wildcards.mode,
            "retrain_time": float(wildcards.time),
            "rule": rule(wildcards.method).to_dict(),
        }

    @for_rules
    def retrain_group(self, wildcards: Any) -> str | None:
        """A training goes with the mask that it waits for; see :meth:`Workflow.prune_group`."""
        study = self.workflow.study(wildcards.study)
        place = (wildcards.mode, wildcards.method, wildcards.time)
        return self.workflow.level_group(wildcards, places.cell_chain(study, *place))

    def _mode(self, study: str, mode: str) -> Mode:
        known = modes(self.workflow.study(study))
        if mode not in known:
            raise PruningError(f"Study {study!r} has the modes {', '.join(known)}, not {mode!r}.")
        return known[mode]

    def _mode_pruning(self, study: str, mode: str, level: str) -> Mapping[str, Any]:
        return self.workflow.of_level(study, mode, self._mode(study, mode).prunings, level)

    def _check_cell(self, wildcards: Any) -> None:
        mode = self._mode(wildcards.study, wildcards.mode)
        name, time = wildcards.method, wildcards.time
        rule(name)
        if name not in mode.times:
            raise PruningError(
                f"Study {wildcards.study!r} does not run {name} ({wildcards.mode}): it has "
                f"{', '.join(mode.times)}."
            )
        times = [f"{t:g}" for t in mode.times[name]]
        if time not in times:
            raise PruningError(
                f"Study {wildcards.study!r} retrains {name} for {', '.join(times)} epochs, "
                f"not {time}."
            )

    # -- Algorithm 1 -------------------------------------------------------------------------

    @for_rules
    def algorithm_level_input(self, wildcards: Any) -> dict[str, str]:
        """The trainings that a level of Algorithm 1 is judged by."""
        study, level = self.workflow.study(wildcards.study), int(wildcards.level)
        self._mode_pruning(study.name, study.part("algorithm").mode, str(level))
        return {
            "dense": f"{dense_folder(study.name, wildcards.seed)}/summary.json",
            "retrained": f"{places.algorithm_level(study, wildcards.seed, level)}/summary.json",
        }

    @for_rules
    def algorithm_way_input(self, wildcards: Any, checkpoint: Any) -> list[str]:
        """How each level that Algorithm 1 goes through was judged.

        A level that is judged is read from its file; for the first that is not, Snakemake is asked,
        and asks here again when it is there. While a job waits for that, Snakemake sees no change
        of its parameters, so all that decides stands in the paths.

        Args:
            wildcards: of the rule.
            checkpoint: Snakemake's, of judging a level.
        """
        study, seed = self.workflow.study(wildcards.study), wildcards.seed
        algorithm, settings = study.part("algorithm"), self._algorithm_settings(study, seed)
        judged: list[str] = []
        while len(judged) < algorithm.max_levels:
            level = len(judged) + 1
            path = places.algorithm_judgement(study.name, seed, settings, level)
            if not os.path.exists(path):
                checkpoint.get(study=study.name, seed=seed, settings=settings, level=level)
            judged.append(path)
            if not matches(read_json(path), algorithm.tolerance):
                break
        return judged

    @for_rules
    def algorithm_input(self, wildcards: Any) -> dict[str, str]:
        """The way of Algorithm 1, and level 1's mask, which names the prunable weights."""
        study, seed = self.workflow.study(wildcards.study), wildcards.seed
        algorithm = study.part("algorithm")
        chain = places.cell_chain(study, algorithm.mode, "lr_rewind", algorithm.retrain_time)
        ending = [
            self._algorithm_settings(study, seed),
            algorithm.tolerance,
            algorithm.max_levels,
        ]
        return {
            "way": places.algorithm_way(study.name, seed, digest(ending)),
            "first_mask": mask(study.name, seed, chain, 1),
        }

    @for_rules
    def algorithm_tolerance(self, wildcards: Any) -> float:
        """When Algorithm 1 ends."""
        return self.workflow.study(wildcards.study).part("algorithm").tolerance

    def _algorithm_settings(self, study: Study, seed: str) -> str:
        """A digest of all that decides how a level is judged, but not when to end."""
        algorithm = study.part("algorithm")
        place = SimpleNamespace(
            study=study.name,
            seed=seed,
            level="1",
            mode=algorithm.mode,
            method="lr_rewind",
            time=f"{algorithm.retrain_time:g}",
            chain=places.cell_chain(study, algorithm.mode, "lr_rewind", algorithm.retrain_time),
            dataset=study.dataset,
        )
        told = [
            self.workflow.data_params(place),
            self.workflow.dense_stage(place),
            self.workflow.prune_stage(place),
            self.retrain_stage(place),
            self.retrain_params(place),
            self._mode_pruning(study.name, algorithm.mode, "1"),
            code_version(ALGORITHM),
            [self.workflow.script_version(f"{name}.py") for name in SCRIPTS],
        ]
        return digest(told)

    @for_rules
    def algorithm_code(self, wildcards: Any) -> str:
        """How a level is judged; the tolerance is not part of it."""
        return code_version(ALGORITHM)

    @for_rules
    def algorithm_levels(self, wildcards: Any) -> Untracked:
        """The folder of each level of Algorithm 1, the dense training first."""
        study = self.workflow.study(wildcards.study)
        levels = range(study.part("algorithm").max_levels + 1)
        return Untracked([places.algorithm_level(study, wildcards.seed, level) for level in levels])

    @for_rules
    def algorithm_results(self, wildcards: Any) -> list[str]:
        """The outcome of Algorithm 1 on every replicate."""
        study = self.workflow.study(wildcards.study)
        if not study.task["validation"]["fraction"]:
            raise PruningError(NO_VALIDATION)
        return [places.algorithm_result(study.name, seed) for seed in study.seeds]
