"""Renda, Frankle, Carbin (ICLR 2020): what a pruned network is retrained from, by five rules.

Reference: "Comparing Rewinding and Fine-tuning in Neural Network Pruning", arXiv 2003.02389,
section 2. The optimizer's slots are restored, not reset, as the authors' code does.
"""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from pruning.errors import PruningError, unknown
from pruning.systems.rewinding.rules import Rule
from pruning.training.loop import Run, Trained, train
from pruning.training.recipe import Timeline
from pruning.training.resume import ResumeFile
from pruning.training.schedules import constant
from pruning.training.state import State
from pruning.training.task import Task

DATA_ORDERS = ("fresh", "rewound")


def starting_state(
    rule: Rule, masks: Mapping[str, Tensor], rewind_step: int, sources: Mapping[str, State]
) -> State:
    """The state a retraining starts from.

    Args:
        rule: the method's row.
        masks: what is kept.
        rewind_step: the step that ``rewind`` means.
        sources: ``final``, ``rewind`` and ``fresh`` states, as far as the row names them.

    Raises:
        PruningError: a source that the row needs is missing, or of another step.
    """
    for part in (rule.weights, rule.buffers, rule.slots):
        if part not in sources:
            raise PruningError(f"This re-training method needs the {part} state.")
    rewind = sources.get("rewind")
    if rewind is not None and rule.needs_rewind_state and rewind.step != rewind_step:
        raise PruningError(
            f"The rewind state is of step {rewind.step}, but the retrain time asks for step "
            f"{rewind_step}. It was made with another recipe or retrain time."
        )
    step = {"final": sources["final"].step, "rewind": rewind_step, "fresh": 0}[rule.step]
    return State(
        weights=sources[rule.weights].weights,
        buffers=sources[rule.buffers].buffers,
        slots=sources[rule.slots].slots,
        step=step,
    ).masked(masks)


def retraining_steps(rule: Rule, timeline: Timeline, retrain_time: float) -> int:
    """Optimizer steps of a retraining: of retrain_time epochs, after a full training from step 0.

    Raises:
        PruningError: retrain time outside (0, T].
    """
    rewound = timeline.steps_from(timeline.rewind_step(retrain_time))
    return rewound + (timeline.steps_from() if rule.step == "fresh" else 0)


def retrain(
    task: Task,
    rule: Rule,
    *,
    masks: Mapping[str, Tensor],
    retrain_time: float,
    final: State,
    rewind: State | None = None,
    seed: int = 0,
    stream: tuple[str | int, ...] = ("retrain",),
    data_order: str = "fresh",
    resume: ResumeFile | None = None,
) -> Trained:
    """Retrain a pruned network by one row of the table.

    Rewinding and fine-tuning train for retrain_time epochs. Where the step starts from 0
    (``reinit``) a full training comes first: T + retrain_time epochs (reference, section 2).

    Args:
        task: what to train.
        rule: the method's row, see :data:`pruning.systems.rewinding.rules.RULES`.
        masks: what is kept; prunable weights that have none are kept whole.
        retrain_time: epochs, in (0, T].
        final: the state that was pruned.
        rewind: the dense training's state at the rewind step, where the row needs it.
        seed: the study's seed.
        stream: purpose of this run, tells its draws from those of other runs of the seed.
        data_order: ``fresh``: a data order and augmentation of this run's own (as the authors');
            ``rewound``: those of the dense training from the rewind step on, for every method.
        resume: a file that a killed training continues from.

    Raises:
        PruningError: retrain time outside (0, T], or a state that is missing or does not fit.
    """
    if data_order not in DATA_ORDERS:
        raise unknown("data order", data_order, DATA_ORDERS)
    timeline = task.timeline
    rewind_step = timeline.rewind_step(retrain_time)
    sources = {"final": final}
    if rewind is not None:
        sources["rewind"] = rewind
    if "fresh" in (rule.weights, rule.buffers, rule.slots):
        sources["fresh"] = task.initial_state(seed, *stream)
    state = starting_state(rule, masks, rewind_step, sources).counting(task.prunable())
    steps = retraining_steps(rule, timeline, retrain_time)
    schedule = timeline.schedule()
    if rule.learning_rate == "last":
        schedule = constant(timeline.last_learning_rate())
    run = Run(steps, schedule, seed, stream)
    if data_order == "rewound":
        run = replace(run, stream=("dense",), first_batch=rewind_step)
    return train(task, state, run, resume=resume)
