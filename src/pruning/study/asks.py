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
from typing import Any

from pruning import extensions, registry
from pruning.data import sources
from pruning.data.known import READ_WHILE_TRAINING
from pruning.errors import PruningError, unknown
from pruning.files import sha256
from pruning.running import trials
from pruning.running.code_version import code_version, script_version
from pruning.running.jobs import Untracked
from pruning.study import places
from pruning.study.schema import check_document
from pruning.study.study import Study, data_root, find_study
from pruning.systems import find_system

DAY = 1440  # minutes
QUICK = 20  # minutes of a job that trains nothing, in a study whose trainings take longer
SHORT = 10  # minutes of `resources.runtime` up to which a study's jobs share submissions


def for_rules(function: Callable[..., Any]) -> Callable[..., Any]:
    """For functions that rules call: the user's mistakes end the run with their message alone.

    So do errors in code from outside the package, say in what a system reads from its section. An
    exception would leave Snakemake with a traceback through this package around it.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Exception as error:
            told = extensions.explained(error)
            if told is None:
                raise
            print(f"\nError: {told}\n", file=sys.stderr)
            raise SystemExit(1) from None

    return call


class Workflow:
    """The configuration, and what follows from it for each rule.

    Args:
        config: Snakemake's configuration; defaults are filled in place.
        schemas: folder of ``config.schema.yaml`` and ``study.schema.yaml``.

    Raises:
        PruningError: a wrong key or value, an enabled study that does not exist, an extension with
            a fault.
    """

    def __init__(self, config: dict[str, Any], schemas: Path | str) -> None:
        self.schemas = Path(schemas)
        checked = check_document(config, self.schemas / "config.schema.yaml", "config/config.yaml")
        config.update(checked)
        self.config = config
        registry.extend(config["extensions"])
        self.study = cache(self._study)
        self.chains = cache(lambda name: places.chains(self.study(name)))
        # Once per run: Snakemake asks again when the missing files are back.
        self.repairs = cache(self._repairs)
        self.source_changes = cache(self._source_changes)
        self.tried = cache(functools.partial(trials.require, self))
        self.enabled = [self.study(name) for name in config["studies"]]
        for name in config["datasets"]:
            self.dataset_options(name)

    def _study(self, name: str) -> Study:
        study = find_study(name, self.config["study_folder"], self.schemas / "study.schema.yaml")
        if study.dataset not in self.config["datasets"]:
            error = unknown("data set", study.dataset, self.config["datasets"])
            raise PruningError(f"{self.study_file(name)}: dataset: {error}")
        return study

    def study_file(self, name: str) -> str:
        """Where a study stands, for messages."""
        return str(Path(self.config["study_folder"], f"{name}.yaml"))

    # -- data -------------------------------------------------------------------------------

    def dataset_options(self, name: str) -> dict[str, Any]:
        """The configuration of a data set.

        Raises:
            PruningError: there is none of this name, its kind is unknown, or does not take an
                option.
        """
        known = self.config["datasets"]
        if name not in known:
            raise unknown("data set", name, known)
        given = dict(known[name])
        kind = given.pop("kind")
        options = registry.checked_options("data set kind", kind, given, f"datasets.{name}")
        return ordered({**options, "kind": registry.reference("data set kind", kind)})

    @for_rules
    def data_params(self, wildcards: Any) -> dict[str, Any]:
        """Options and code version of a data set's preparation, and how often its files changed."""
        options = self.dataset_options(wildcards.dataset)
        reader = registry.entry("data set kind", options["kind"])
        return {
            "options": options,
            "code_version": code_version("pruning.stages.prepare_data", reader),
            "source_changes": self.source_changes(wildcards.dataset),
        }

    def source(self, name: str) -> sources.Source | None:
        """The files that a data set would be prepared from now.

        Raises:
            PruningError: see :func:`pruning.data.sources.find_source`.
        """
        options = self.dataset_options(name)
        return sources.find_source(name, options.pop("kind"), data_root(), options)

    def _source_changes(self, name: str) -> int:
        return sources.count_changes(places.data_file(name), self.source(name))

    @for_rules
    def data_file(self, wildcards: Any) -> str:
        """The prepared data set of a study, for one of its seeds where the stage has one.

        Whatever a study does begins with it, so here is where a study is tried out before.
        """
        study = self._replicate(wildcards)
        self.tried(study.name)
        return places.data_file(study.dataset)

    def _replicate(self, wildcards: Any) -> Study:
        """The study.

        Raises:
            PruningError: the path names a seed that it has not, or spells one otherwise.
        """
        study, seed = self.study(wildcards.study), getattr(wildcards, "seed", None)
        if seed is not None and str(seed) not in map(str, study.seeds):
            raise PruningError(
                f"Study {study.name!r} has the seeds {', '.join(map(str, study.seeds))}, not "
                f"{seed}. Add it to `seeds`, or ask for one of them."
            )
        return study

    # -- training ---------------------------------------------------------------------------

    @for_rules
    def asks(self, system: str) -> Any:
        """What the rules of a system ask, from its wing."""
        return registry.load(find_system(system).asks)(self)

    def stage(self, module: str, extra: tuple[str, ...] = ()) -> Any:
        """A parameter function: what a stage is told besides its files.

        Args:
            module: of the stage.
            extra: what its code version covers besides, as ``module:attribute``.
        """

        @for_rules
        def params(wildcards: Any) -> dict[str, Any]:
            study = self._replicate(wildcards)
            entries = (module, *study.code_entries(), *extra)
            return {
                "study": study.name,
                "seed": int(wildcards.seed),
                "task": ordered(study.task),
                "code_version": code_version(*entries),
            }

        return params

    @for_rules
    def script_version(self, script: str) -> str:
        """Of a rule's script; all rules have it as a parameter.

        Args:
            script: its file, or the name of one in ``workflow/scripts/``.
        """
        return script_version(self.schemas.parent.joinpath("scripts", script))

    @for_rules
    def dense_stage(self, wildcards: Any) -> dict[str, Any]:
        """As :meth:`stage`; of a network from a file also what is in that file, so that an edit is
        seen, and a new date of the same content is not."""
        told = self.stage("pruning.stages.dense")(wildcards)
        if not self.study(wildcards.study).given:
            return told
        given = told["task"]["dense"]
        content = {"sha256": file_digest(given["from"])}
        return {**told, "task": ordered({**told["task"], "dense": {**given, **content}})}

    @for_rules
    def retrain_times(self, wildcards: Any) -> Untracked:
        """What a dense training keeps states for; decides no number of it."""
        return Untracked(self.study(wildcards.study).kept_times)

    @for_rules
    def rewind_state_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the states that a dense training kept: the initial one does not wait for it.

        They are a folder, whose time tells nothing; ``trained`` is other if they may be.
        """
        study = self.study(wildcards.study)
        if study.given:
            raise PruningError(
                f"Study {study.name!r} starts from {study.task['dense']['from']} (`dense`), so "
                "there is no state before the end of its training."
            )
        inputs = {"data": self.data_file(wildcards)}
        if float(wildcards.time) != study.task["recipe"]["epochs"]:
            folder = places.dense_folder(study.name, wildcards.seed)
            inputs |= {"kept": f"{folder}/rewind", "trained": f"{folder}/state.json"}
        return inputs

    @for_rules
    def prune_stage(self, wildcards: Any) -> dict[str, Any]:
        """As :meth:`stage`, with the code of this level's pruner, score and threshold rule."""
        pruning = self._pruning(wildcards)
        entries = [registry.entry("pruner", pruning["kind"])]
        if "score" in pruning:
            entries.append(registry.entry("score", pruning["score"]))
        if "rule" in pruning:
            entries.append(registry.entry("threshold rule", pruning["rule"]))
        return self.stage("pruning.stages.prune", tuple(entries))(wildcards)

    @for_rules
    def prune_params(self, wildcards: Any) -> dict[str, Any]:
        """What a level of a chain removes."""
        return {
            "chain": wildcards.chain,
            "level": int(wildcards.level),
            "pruning": ordered(self._pruning(wildcards)),
        }

    @for_rules
    def prune_input(self, wildcards: Any) -> dict[str, str]:
        """Data, and the state or the masks that a level prunes."""
        self._pruning(wildcards)
        chain = self.chain(wildcards.study, wildcards.chain)
        pruned = chain.pruned(wildcards.seed, int(wildcards.level))
        return {"data": self.data_file(wildcards), chain.prunes: pruned}

    @for_rules
    def report_params(self, wildcards: Any) -> dict[str, Any]:
        """Which mask a report is about."""
        return {"chain": wildcards.chain, "level": int(wildcards.level)}

    def _pruning(self, wildcards: Any) -> Mapping[str, Any]:
        prunings = self.chain(wildcards.study, wildcards.chain).prunings
        return self.of_level(wildcards.study, wildcards.chain, prunings, wildcards.level)

    def of_level(self, study: str, what: str, prunings: tuple, level: str) -> Mapping[str, Any]:
        """The parameters of one level's pruning.

        Raises:
            PruningError: there are fewer levels.
        """
        if int(level) > len(prunings):
            raise PruningError(f"Study {study!r} has {len(prunings)} levels ({what}), not {level}.")
        return prunings[int(level) - 1]

    def chain(self, study: str, name: str) -> places.Chain:
        """A sequence of prunings of a study.

        Raises:
            PruningError: the study has none of this name.
        """
        chains = self.chains(study)
        if name not in chains:
            raise unknown(f"sequence of prunings of study {study!r},", name, chains)
        return chains[name]

    def masked(self, study: str, seed: str, chain: str, level: int | str) -> dict[str, str]:
        """Inputs of a stage that trains or evaluates under a mask: data, and the mask's files."""
        mask = places.mask(study, seed, chain, level)
        return {
            "data": places.data_file(self.study(study).dataset),
            "mask": mask,
            "mask_metadata": places.mask_metadata(mask),
        }

    # -- resources --------------------------------------------------------------------------

    @for_rules
    def gpu(self, wildcards: Any) -> int:
        """GPUs of a training job as the scheduler counts them, one for each process."""
        return self.gpu_alone * self.study(wildcards.study).processes

    @cached_property
    def gpu_alone(self) -> int:
        """GPUs of a job that trains nothing."""
        return int(self.config["device"] == "cuda")

    @for_rules
    def nodes(self, wildcards: Any) -> int | None:
        """Nodes of a training job: one, where a cluster could spread its GPUs over several."""
        return 1 if self.study(wildcards.study).processes > 1 else None

    @for_rules
    def threads(self, wildcards: Any) -> int:
        """CPU threads of a training job: of all processes, with those that read their pictures."""
        study = self.study(wildcards.study)
        kind = self.config["datasets"][study.dataset]["kind"]
        readers = study.resources.get("loader_workers", READ_WHILE_TRAINING.get(kind, 0))
        return study.processes * (study.threads + readers)

    @for_rules
    def threads_alone(self, wildcards: Any) -> int:
        """CPU threads of a job that trains nothing."""
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
        """As :meth:`group`, for cutting masks and for the reports of them.

        In a long study a level's mask goes with the training that waits for it, as queueing may
        take hours and cutting a mask takes seconds. Others are grouped by what they are cut from.
        """
        kind = wildcards.chain.partition("/")[0]
        return self.level_group(wildcards, wildcards.chain) or f"masks_{kind}"

    def level_group(self, wildcards: Any, chain: str) -> str | None:
        """As :meth:`prune_group`, for the training that a level of a chain prunes or waits for."""
        if short := self._short_group(wildcards, "levels"):
            return short
        if self.study(wildcards.study).processes > 1:
            return None
        if self.chain(wildcards.study, chain).one_training:
            level = f"{wildcards.study}/seed{wildcards.seed}/{chain}/level{wildcards.level}"
            return level.replace("/", "_")
        return None

    def _short_group(self, wildcards: Any, name: str) -> str | None:
        study = self.study(wildcards.study)
        # A submission has what its largest job has, and trainings of several processes are no
        # small ones.
        short = study.resources["runtime"] <= SHORT and study.processes == 1
        return f"short_{name}" if short else None

    # -- collecting ---------------------------------------------------------------

    @for_rules
    def collect_input(self, wildcards: Any) -> list[str]:
        """Every file behind a tidy table; summaries and reports are read, all are watched."""
        study = self.study(wildcards.study)
        return [self.data_file(wildcards), *places.training_files(study, wildcards.table)]

    @for_rules
    def collect_params(self, wildcards: Any) -> dict[str, Any]:
        """The trainings, code version, and the count of repairs."""
        watched = tuple(self.collect_input(wildcards))
        study = self.study(wildcards.study)
        return {
            "trainings": [list(pair) for pair in places.collected(study, wildcards.table)],
            "code_version": code_version("pruning.stages.collect"),
            "repairs": self.repairs(places.table(wildcards.study, wildcards.table), watched),
        }

    @for_rules
    def collect_masks_input(self, wildcards: Any) -> list[str]:
        """The reports of all masks of a system."""
        return places.mask_reports(self.study(wildcards.study), wildcards.family)

    @for_rules
    def collect_masks_params(self, wildcards: Any) -> dict[str, Any]:
        """Code version, and the count of repairs."""
        watched = tuple(self.collect_masks_input(wildcards))
        return {
            "code_version": code_version("pruning.stages.collect_masks"),
            "repairs": self.repairs(
                places.table(wildcards.study, f"{wildcards.family}_layers"), watched
            ),
        }

    @for_rules
    def gather_input(self, wildcards: Any) -> list[str]:
        """Every file behind a table that is gathered from single cells."""
        cells = places.gathered(self.study(wildcards.study), wildcards.gathered)
        return list(dict.fromkeys(path for pair in cells for path in pair))

    @for_rules
    def gather_params(self, wildcards: Any) -> dict[str, Any]:
        """The cells, code version, and the count of repairs."""
        study, name = self.study(wildcards.study), wildcards.gathered
        watched = tuple(self.gather_input(wildcards))
        return {
            "cells": [list(pair) for pair in places.gathered(study, name)],
            "code_version": code_version("pruning.stages.gather"),
            "repairs": self.repairs(places.table(study.name, name), watched),
        }

    def _repairs(self, product: str, watched: tuple[str, ...]) -> int:
        """How often files behind a finished product had to be made again, this time included.

        Snakemake looks at a missing intermediate file only when something that needs it runs. So
        that deleting one output reruns its stage, this number is a parameter of the rules that
        collect and draw: it rises when a watched file is missing, and is written down when it is
        back.
        """
        count = places.read_repairs(product)
        if os.path.exists(product) and not all(map(os.path.exists, watched)):
            count += 1
        return count


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file; read once while its size and date are the same.

    Raises:
        PruningError: it cannot be read.
    """
    try:
        told = os.stat(path)
        return _file_digest(str(path), told.st_size, told.st_mtime_ns)
    except OSError as error:
        raise PruningError(f"{path} cannot be read ({error.strerror}).") from None


@cache
def _file_digest(path: str, size: int, changed: int) -> str:
    return sha256(path)


def ordered(value: Any) -> Any:
    """The same plain values with sorted keys: a reordered study file is the same study."""
    if isinstance(value, Mapping):
        return {key: ordered(value[key]) for key in sorted(value)}
    return value
