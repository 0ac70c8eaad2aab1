"""Whether the stages of a study can begin: each is set up as for real, and nothing is trained.

What stands in a study file by itself was checked when the file was read, without torch. Here are
the network, the data set's shape and counts, and what follows from them; by the functions that the
stages call, so that what passes is what runs. The work of seconds: two images stand for a batch,
and the sparsest level of a sequence of prunings for all of it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pruning import registry
from pruning.data.validation import OWN
from pruning.errors import PruningError
from pruning.extensions import explained
from pruning.files import digest
from pruning.masks import mask as masking
from pruning.masks.report import report
from pruning.masks.weights import check_sample
from pruning.models.batch_norm import only_in_groups
from pruning.models.cost import network_macs
from pruning.models.divisors import Emptied
from pruning.stages.context import StageContext
from pruning.stages.saved import taken
from pruning.study import places
from pruning.study.study import Study
from pruning.systems import systems
from pruning.systems.system import System
from pruning.training import generators
from pruning.training.arithmetic import arithmetic, forward_pass
from pruning.training.loop import TRIES, Run, train
from pruning.training.network import training_network
from pruning.training.task import Task
from pruning.training.trainable import refuse_untrained, untrained

FEW = 2  # images in a batch
STREAM = ("trial",)


def try_out(study: Study, data: Path | str) -> None:
    """Set up every stage of a study.

    Args:
        study: the study.
        data: its prepared data set, or one that is as large.

    Raises:
        PruningError: a stage would refuse the study.
    """
    trial = Trial(study, data)
    with trial.about():
        task = trial.task()
    _refuse_nothing_to_prune(study, task)
    with trial.about("recipe"):
        for time in study.kept_times:
            task.timeline.rewind_step(time)
    _refuse_no_validation(study, task)
    if study.given:
        with trial.about("dense"):
            taken(task, study.task["dense"])
    trial.training("recipe")
    for system in _at_work(study):
        with trial.about(system.name):
            system.work(study, task.examples("train"))
            trial.prunings(system.chains(study))
        if system.trial is not None:
            registry.load(system.trial)(study, trial)


def _refuse_no_validation(study: Study, task: Task) -> None:
    fraction, source = (study.task["validation"][key] for key in ("fraction", "source"))
    if fraction and source != OWN and not task.examples("validation"):
        raise PruningError(
            f"validation.fraction: {fraction:g} of the {task.examples(source)} {source} images are "
            "not even one. Raise it, or say 0 for none."
        )


def _refuse_nothing_to_prune(study: Study, task: Task) -> None:
    working = [f"`{system.name}`" for system in _at_work(study)]
    if working and not task.prunable():
        raise PruningError(
            "exempt: this leaves no weight of the network to prune, so there is nothing to do for "
            f"{', '.join(working)}. Exempt less."
        )


def _at_work(study: Study) -> list[System]:
    """The systems that train anything for a study."""
    return [system for system in systems() if any(True for _ in system.trainings(study))]


class Trial:
    """A study's stages, to be set up.

    Args:
        study: the study.
        data: its prepared data set.
    """

    def __init__(self, study: Study, data: Path | str) -> None:
        self.study, self.data, self.seed = study, data, study.seeds[0]
        self.context = StageContext(study.name, self.seed, study.task, "")
        self.trained: set[str] = set()

    def task(self, recipe: Mapping[str, Any] | None = None, **network: Any) -> Task:
        """The task of a stage, as that stage loads it.

        Args:
            recipe: of its own; the study's without.
            network: other values of the network's configuration.
        """
        changed = self.context.changed(recipe or self.study.task["recipe"], **network)
        return changed.load_task(self.data, "trial")

    def training(self, where: str, recipe: Mapping[str, Any] | None = None, **network: Any) -> None:
        """Set a training up, and pass two images through the network and back.

        Args:
            where: key of the recipe in the study file, for messages.
            recipe, network: as of :meth:`task`.
        """
        told = digest([recipe, network])
        if told in self.trained:
            return
        self.trained.add(told)
        with self.about(where):
            task = self.task(recipe, **network)
            run = Run(task.timeline.steps_from(), task.timeline.schedule(), self.seed, STREAM)
            state = task.initial_state(self.seed, "dense")
            train(task, state, replace(run, steps=0))
            run.schedule(run.steps - 1)
            try_batches(few(task), self.seed)
            network_macs(task.build(), task.example())

    def prunings(self, chains: Mapping[str, places.Chain]) -> None:
        """Cut the sparsest masks of each kind from fresh weights.

        Args:
            chains: sequences of prunings, by name.
        """
        sparsest = {}
        for name, chain in chains.items():
            for level, pruning in enumerate(chain.prunings, start=1):
                kind = {k: v for k, v in pruning.items() if k not in ("density", "level")}
                sparsest[digest([chain.prunes, kind])] = name, chain, level, pruning
        if not sparsest:
            return
        task = self.task()
        state = task.initial_state(self.seed, "dense")
        dense = masking.dense(state.weights, task.prunable())
        report(task, dense)
        for name, chain, level, pruning in sparsest.values():
            if chain.of_study:
                start = state if chain.prunes == "state" else dense
                options = dict(pruning)
                pruner = registry.find("pruner", options.pop("kind"))
                if "iterations" in options:
                    options["iterations"] = 1
                with contextlib.suppress(Emptied):  # which trained weights may be spared
                    pruner(Sampled(task), start, seed=self.seed, purpose=(name, level), **options)

    @contextlib.contextmanager
    def about(self, where: str = "") -> Iterator[None]:
        """Errors within are of this part of the study file; torch's own become sentences."""
        try:
            yield
        except Exception as error:
            told = explained(error)
            if told is None and not isinstance(error, _OF_TORCH):
                raise
            why = str(told) if told else f"{type(error).__name__}: {_one_line(error)}."
            raise PruningError(why if why.startswith(where) else f"{where}: {why}") from error


# What torch and Python say of sizes and values that do not fit each other.
_OF_TORCH = (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError, MemoryError)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:1000]


def few(task: Task) -> Task:
    """The same task with batches of two images, or of one where it has no more, for one process."""
    recipe = task.recipe
    small = replace(recipe.batches, size=min(FEW, recipe.batches.size))
    changed = {
        "batches": small,
        "batch_norm_group": recipe.batch_norm_group and min(recipe.batch_norm_group, small.size),
        "clip_groups": min(recipe.clip_groups, small.size),
        "processes": 1,
    }
    return replace(task, recipe=replace(recipe, **changed))


def try_batches(task: Task, seed: int) -> None:
    """Pass batches through the network and back, until all prunable weights had a gradient.

    Raises:
        PruningError: some have none after as many as a training gives them; a batch norm that the
            recipe's groups do not reach.
    """
    recipe, device = task.recipe, task.device
    module = training_network(task, task.initial_state(seed, "dense"))
    named, batches = dict(module.named_parameters()), task.batches(seed, STREAM)
    left = {name: named[name] for name in task.prunable()}
    with arithmetic(recipe.threads, recipe.precision), generators.seeded(seed, STREAM, device):
        for index in range(TRIES):
            with forward_pass(recipe.precision, device), only_in_groups(module):
                loss = task.loss(module, batches.batch(index))
            loss.backward()
            left = untrained(left)
            if not left:
                break
        else:
            refuse_untrained(left)
        task.loss(module.eval(), batches.batch(0))


class Sampled:
    """A task whose scores look at two examples of the sample that they would look at.

    Args:
        task: the task.
    """

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def scoring_batches(self, seed: int, **sample: Any) -> list[Any]:
        """The first batch, once the whole sample was drawn."""
        check_sample(self._task, seed, sample)
        len(self._task.scoring_batches(seed, **sample))
        batches = few(self._task).scoring_batches(seed, **sample)
        return [batches[0]] if len(batches) else []
