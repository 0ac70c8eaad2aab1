"""What the rules ask: inputs, parameters and resources of a stage, from validated configuration.

Rules stay free of logic and this stays free of Snakemake: a ``wildcards`` argument is any object
with the attributes of the rule's wildcards.
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pruning import registry
from pruning.errors import PruningError, unknown
from pruning.files import digest, read_json
from pruning.running.code_version import code_version
from pruning.running.jobs import Untracked
from pruning.study import places as layout
from pruning.study.schema import check_document
from pruning.study.study import Mode, Study, find_study
from pruning.systems.at_init.rules import method, variant
from pruning.systems.at_init.section import Cell
from pruning.systems.rewinding.algorithm import NO_VALIDATION, matches
from pruning.systems.rewinding.rules import rule

DAY = 1440  # minutes
QUICK = 20  # minutes of a job that trains nothing, in a study whose trainings take longer
SHORT = 10  # minutes of `resources.runtime` up to which a study's jobs share submissions


def for_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that rules call: the user's mistakes end the run with their message alone.

    An exception would leave Snakemake with a traceback through this package around it.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except PruningError as error:
            print(f"\nError: {error}\n", file=sys.stderr)
            raise SystemExit(1) from None

    return call


class Workflow:
    """The configuration, and what follows from it for each rule.

    Args:
        config: Snakemake's configuration; defaults are filled in place.
        schemas: folder of ``config.schema.yaml`` and ``study.schema.yaml``.

    Raises:
        PruningError: a wrong key or value, an enabled study that does not exist.
    """

    def __init__(self, config: dict[str, Any], schemas: Path | str) -> None:
        self.schemas = Path(schemas)
        checked = check_document(config, self.schemas / "config.schema.yaml", "config/config.yaml")
        config.update(checked)
        self.config = config
        self.study = cache(self._study)
        self.chains = cache(lambda name: layout.chains(self.study(name)))
        # Once per run: Snakemake asks again when the missing files are back.
        self.repairs = cache(self._repairs)
        self.enabled = [self.study(name) for name in config["studies"]]

    def _study(self, name: str) -> Study:
        study = find_study(name, self.config["study_folder"], self.schemas / "study.schema.yaml")
        self.dataset_options(study.dataset)
        return study

    # -- data -------------------------------------------------------------------------------

    def dataset_options(self, name: str) -> dict[str, Any]:
        """The configuration of a data set.

        Raises:
            PruningError: there is none of this name, or its kind is unknown.
        """
        known = self.config["datasets"]
        if name not in known:
            raise unknown("data set", name, known)
        registry.entry("data set kind", known[name]["kind"])
        return ordered(known[name])

    @for_rules
    def data_params(self, wildcards: Any) -> dict[str, Any]:
        """Options and code version of a data set's preparation."""
        options = self.dataset_options(wildcards.dataset)
        reader = registry.entry("data set kind", options["kind"])
        return {
            "options": options,
            "code_version": code_version("pruning.stages.prepare_data", reader),
        }

    @for_rules
    def data_file(self, wildcards: Any) -> str:
        """The prepared data set of a study."""
        return layout.data_file(self.study(wildcards.study).dataset)

    # -- training ---------------------------------------------------------------------------

    def stage(self, name: str, extra: tuple[str, ...] = ()) -> Any:
        """A parameter function: what ``pruning.stages.<name>`` is told besides its files."""

        @for_rules
        def params(wildcards: Any) -> dict[str, Any]:
            study = self.study(wildcards.study)
            entries = (f"pruning.stages.{name}", *study.code_entries(), *extra)
            return {
                "study": study.name,
                "seed": int(wildcards.seed),
                "task": ordered(study.task),
                "code_version": code_version(*entries),
            }

        return params

    @for_rules
    def retrain_times(self, wildcards: Any) -> Untracked:
        """What a dense training keeps states for; decides no number of it."""
        return Untracked(self.study(wildcards.study).kept_times)

    @for_rules
    def rewind_state_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the states that a dense training kept: the initial one does not wait for it."""
        study = self.study(wildcards.study)
        inputs = {"data": self.data_file(wildcards)}
        if float(wildcards.time) != study.task["recipe"]["epochs"]:
            inputs["kept"] = f"{layout.dense_folder(study.name, wildcards.seed)}/rewind"
        return inputs

    @for_rules
    def prune_stage(self, wildcards: Any) -> dict[str, Any]:
        """As :meth:`stage`, with the code of this level's pruner and score."""
        pruning = self._pruning(wildcards)
        entries = [registry.entry("pruner", pruning["kind"])]
        if "score" in pruning:
            entries.append(registry.entry("score", pruning["score"]))
        return self.stage("prune", tuple(entries))(wildcards)

    @for_rules
    def prune_params(self, wildcards: Any) -> dict[str, Any]:
        """What a level of a chain removes."""
        return {
            "chain": wildcards.chain,
            "level": int(wildcards.level),
            "pruning": ordered(self._pruning(wildcards)),
        }

    @for_rules
    def pruned_state(self, wildcards: Any) -> str:
        """The state that a level prunes."""
        self._pruning(wildcards)
        return self._chain(wildcards).pruned(wildcards.seed, int(wildcards.level))

    @for_rules
    def retrain_input(self, wildcards: Any) -> dict[str, str]:
        """Mask, pruned training and, where the method needs it, the rewind state."""
        self._check_cell(wildcards)
        study, seed, level = wildcards.study, wildcards.seed, wildcards.level
        row = rule(wildcards.method)
        place = (wildcards.mode, wildcards.method, wildcards.time)
        chain = layout.cell_chain(self.study(study), *place)
        parent = layout.pruned_folder(study, seed, chain, level)
        mask = layout.mask(study, seed, chain, level)
        inputs = {
            "data": self.data_file(wildcards),
            "mask": mask,
            "mask_metadata": layout.mask_metadata(mask),
            "parent": f"{parent}/state.safetensors",
            "parent_summary": f"{parent}/summary.json",
        }
        if row.needs_rewind_state:
            inputs["rewind"] = layout.rewind_state(study, seed, wildcards.time)
        return inputs

    @for_rules
    def retrain_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and the method's row of the re-training table."""
        self._mode_pruning(wildcards.study, wildcards.mode, wildcards.level)
        rewinding = self.study(wildcards.study).rewinding
        return {
            "data_order": rewinding.data_order if rewinding else "fresh",
            "level": int(wildcards.level),
            "method": wildcards.method,
            "mode": wildcards.mode,
            "retrain_time": float(wildcards.time),
            "rule": rule(wildcards.method).to_dict(),
        }

    def _mode(self, study: str, mode: str) -> Mode:
        modes = self.study(study).modes
        if mode not in modes:
            raise PruningError(f"Study {study!r} has the modes {', '.join(modes)}, not {mode!r}.")
        return modes[mode]

    def _mode_pruning(self, study: str, mode: str, level: str) -> Mapping[str, Any]:
        return self._of_level(study, mode, self._mode(study, mode).prunings, level)

    def _pruning(self, wildcards: Any) -> Mapping[str, Any]:
        prunings = self._chain(wildcards).prunings
        return self._of_level(wildcards.study, wildcards.chain, prunings, wildcards.level)

    def _of_level(self, study: str, what: str, prunings: tuple, level: str) -> Mapping[str, Any]:
        if int(level) > len(prunings):
            raise PruningError(f"Study {study!r} has {len(prunings)} levels ({what}), not {level}.")
        return prunings[int(level) - 1]

    def _chain(self, wildcards: Any) -> layout.Chain:
        chains = self.chains(wildcards.study)
        if wildcards.chain not in chains:
            raise unknown(
                f"sequence of prunings of study {wildcards.study!r},", wildcards.chain, chains
            )
        return chains[wildcards.chain]

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

    # -- pruning at initialization ------------------------------------------------------------

    def _with_at_init(self, name: str) -> Study:
        study = self.study(name)
        if study.at_init is None:
            raise PruningError(f"Study {name!r} has no `at_init` section.")
        return study

    def _at_init_cell(self, wildcards: Any) -> Cell:
        study = self._with_at_init(wildcards.study)
        method(wildcards.method)
        variant(wildcards.variant)
        cell = Cell(
            wildcards.method, wildcards.variant, float(wildcards.epoch), int(wildcards.level)
        )
        if cell not in study.at_init.cells:
            raise PruningError(
                f"Study {study.name!r} does not prune by {cell.method} ({cell.variant}) at epoch "
                f"{cell.epoch:g} to level {cell.level}. Its `at_init` section says what it does."
            )
        return cell

    @for_rules
    def at_init_input(self, wildcards: Any) -> dict[str, str]:
        """Mask, and the state to train from unless weights are drawn anew."""
        cell, study = self._at_init_cell(wildcards), self.study(wildcards.study)
        mask = layout.mask(study.name, wildcards.seed, layout.at_init_chain(cell), cell.level)
        inputs = {
            "data": self.data_file(wildcards),
            "mask": mask,
            "mask_metadata": layout.mask_metadata(mask),
        }
        if variant(cell.variant).weights == "kept":
            epoch = study.at_init.trained_epoch(cell)
            inputs["state"] = layout.state_at(study, wildcards.seed, epoch)
        return inputs

    @for_rules
    def at_init_params(self, wildcards: Any) -> dict[str, Any]:
        """The cell, and what its rows say of training."""
        cell = self._at_init_cell(wildcards)
        at_init = self.study(wildcards.study).at_init
        return {
            "epoch": cell.epoch,
            "epochs": at_init.epochs(cell),
            "level": cell.level,
            "method": cell.method,
            "schedule": method(cell.method).schedule,
            "variant": cell.variant,
        }

    # -- Algorithm 1 ------------------------------------------------------------------------

    @for_rules
    def algorithm_level_input(self, wildcards: Any) -> dict[str, str]:
        """The trainings that a level of Algorithm 1 is judged by."""
        study, level = self.study(wildcards.study), int(wildcards.level)
        self._mode_pruning(study.name, study.algorithm.mode, str(level))
        return {
            "dense": f"{layout.dense_folder(study.name, wildcards.seed)}/summary.json",
            "retrained": f"{layout.algorithm_level(study, wildcards.seed, level)}/summary.json",
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
        study, seed = self.study(wildcards.study), wildcards.seed
        algorithm, settings = study.algorithm, self._algorithm_settings(study, seed)
        judged: list[str] = []
        while len(judged) < algorithm.max_levels:
            level = len(judged) + 1
            path = layout.algorithm_judgement(study.name, seed, settings, level)
            if not os.path.exists(path):
                checkpoint.get(study=study.name, seed=seed, settings=settings, level=level)
            judged.append(path)
            if not matches(read_json(path), algorithm.tolerance):
                break
        return judged

    @for_rules
    def algorithm_input(self, wildcards: Any) -> dict[str, str]:
        """The way of Algorithm 1, and level 1's mask, which names the prunable weights."""
        study, seed = self.study(wildcards.study), wildcards.seed
        algorithm = study.algorithm
        chain = layout.cell_chain(study, algorithm.mode, "lr_rewind", algorithm.retrain_time)
        ending = [
            self._algorithm_settings(study, seed),
            algorithm.tolerance,
            algorithm.max_levels,
        ]
        return {
            "way": layout.algorithm_way(study.name, seed, digest(ending)),
            "first_mask": layout.mask(study.name, seed, chain, 1),
        }

    @for_rules
    def algorithm_tolerance(self, wildcards: Any) -> float:
        """When Algorithm 1 ends."""
        return self.study(wildcards.study).algorithm.tolerance

    def _algorithm_settings(self, study: Study, seed: str) -> str:
        """A digest of all that decides how a level is judged, but not when to end."""
        algorithm = study.algorithm
        place = SimpleNamespace(
            study=study.name,
            seed=seed,
            level="1",
            mode=algorithm.mode,
            method="lr_rewind",
            time=f"{algorithm.retrain_time:g}",
            chain=layout.cell_chain(study, algorithm.mode, "lr_rewind", algorithm.retrain_time),
            dataset=study.dataset,
        )
        told = [
            self.data_params(place),
            self.stage("dense")(place),
            self.prune_stage(place),
            self.stage("retrain")(place),
            self.retrain_params(place),
            self._mode_pruning(study.name, algorithm.mode, "1"),
            code_version("pruning.systems.rewinding.stages.algorithm"),
        ]
        return digest(told)

    @for_rules
    def algorithm_code(self, wildcards: Any) -> str:
        """How a level is judged; the tolerance is not part of it."""
        return code_version("pruning.systems.rewinding.stages.algorithm")

    @for_rules
    def algorithm_levels(self, wildcards: Any) -> Untracked:
        """The folder of each level of Algorithm 1, the dense training first."""
        study = self.study(wildcards.study)
        levels = range(study.algorithm.max_levels + 1)
        return Untracked([layout.algorithm_level(study, wildcards.seed, level) for level in levels])

    @for_rules
    def algorithm_results(self, wildcards: Any) -> list[str]:
        """The outcome of Algorithm 1 on every replicate."""
        study = self.study(wildcards.study)
        if not study.task["validation"]["fraction"]:
            raise PruningError(NO_VALIDATION)
        return [layout.algorithm_result(study.name, seed) for seed in study.seeds]

    # -- resources --------------------------------------------------------------------------

    @cached_property
    def gpu(self) -> int:
        """GPUs per training job as the scheduler counts them."""
        return int(self.config["device"] == "cuda")

    @for_rules
    def threads(self, wildcards: Any) -> int:
        """CPU threads of a training job."""
        return self.study(wildcards.study).threads

    def mem_mb(self, wildcards: Any, attempt: int) -> int:
        """Memory of a training job; half as much again with every retry."""
        return int(self.study(wildcards.study).resources["mem_mb"] * (1 + 0.5 * (attempt - 1)))

    def runtime(self, wildcards: Any, attempt: int) -> int:
        """Minutes that a training job may take; twice as long with every retry, up to a day.

        A longer time is kept: partitions have limits, and a retry goes on where the last one was.
        """
        minutes = self.study(wildcards.study).resources["runtime"]
        return min(minutes * 2 ** (attempt - 1), max(minutes, DAY))

    def quick_runtime(self, wildcards: Any, attempt: int) -> int:
        """As :meth:`runtime`, of a job that trains nothing."""
        return min(self.runtime(wildcards, attempt), QUICK * 2 ** (attempt - 1))

    def group(self, name: str) -> Any:
        """A function for ``group:``: these jobs of a short study share submissions to a cluster.

        Args:
            name: of the group, before the profile's ``group-components`` divide it.
        """

        @for_rules
        def group(wildcards: Any) -> str | None:
            return self._short_group(wildcards, name)

        return group

    @for_rules
    def prune_group(self, wildcards: Any) -> str:
        """As :meth:`group`, for cutting masks.

        In a long study a level's mask goes with the training that waits for it, as queueing may
        take hours and cutting a mask takes seconds. Others are grouped by what they are cut from.
        """
        kind = wildcards.chain.partition("/")[0]
        return self._level_group(wildcards, wildcards.chain) or f"masks_{kind}"

    @for_rules
    def retrain_group(self, wildcards: Any) -> str | None:
        """As :meth:`prune_group`, for the training."""
        study = self.study(wildcards.study)
        place = (wildcards.mode, wildcards.method, wildcards.time)
        return self._level_group(wildcards, layout.cell_chain(study, *place))

    def _level_group(self, wildcards: Any, chain: str) -> str | None:
        if short := self._short_group(wildcards, "levels"):
            return short
        study = self.study(wildcards.study)
        mode = study.modes.get(chain.partition("/")[0])
        if mode and mode.chained:  # masks of one training's own
            level = f"{study.name}/seed{wildcards.seed}/{chain}/level{wildcards.level}"
            return level.replace("/", "_")
        return None

    def _short_group(self, wildcards: Any, name: str) -> str | None:
        short = self.study(wildcards.study).resources["runtime"] <= SHORT
        return f"short_{name}" if short else None

    # -- collecting ---------------------------------------------------------------

    @for_rules
    def collect_input(self, wildcards: Any) -> list[str]:
        """Every file behind a tidy table; the summaries are read, all are watched."""
        study = self.study(wildcards.study)
        return [self.data_file(wildcards), *layout.training_files(study, wildcards.table)]

    @for_rules
    def collect_params(self, wildcards: Any) -> dict[str, Any]:
        """Code version, and the count of repairs."""
        watched = tuple(self.collect_input(wildcards))
        return {
            "code_version": code_version("pruning.stages.collect"),
            "repairs": self.repairs(layout.table(wildcards.study, wildcards.table), watched),
        }

    @for_rules
    def collect_masks_input(self, wildcards: Any) -> list[str]:
        """The readable files of all masks of a family."""
        study, family = self.study(wildcards.study), wildcards.family
        if getattr(study, family) is None:
            raise PruningError(f"Study {study.name!r} has no `{family}` section.")
        return layout.masks_metadata(study, family)

    @for_rules
    def collect_masks_params(self, wildcards: Any) -> dict[str, Any]:
        """Code version, and the count of repairs."""
        watched = tuple(self.collect_masks_input(wildcards))
        return {
            "code_version": code_version("pruning.stages.collect_masks"),
            "repairs": self.repairs(
                layout.table(wildcards.study, f"{wildcards.family}_layers"), watched
            ),
        }

    def _repairs(self, product: str, watched: tuple[str, ...]) -> int:
        """How often files behind a finished product had to be made again, this time included.

        Snakemake looks at a missing intermediate file only when something that needs it runs. So
        that deleting one output reruns its stage, this number is a parameter of the rules that
        collect and draw: it rises when a watched file is missing, and is written down when it is
        back.
        """
        count = layout.read_repairs(product)
        if os.path.exists(product) and not all(map(os.path.exists, watched)):
            count += 1
        return count


def ordered(value: Any) -> Any:
    """The same plain values with sorted keys: a reordered study file is the same study."""
    if isinstance(value, Mapping):
        return {key: ordered(value[key]) for key in sorted(value)}
    return value
