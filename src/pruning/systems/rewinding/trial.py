"""What Algorithm 1 judges by, looked for before anything trains."""

from pruning.errors import PruningError
from pruning.stages.trial import Trial
from pruning.study.study import Study
from pruning.systems.rewinding.algorithm import NO_VALIDATION


def try_out(study: Study, trial: Trial) -> None:
    """Refuse Algorithm 1 without validation images; retrainings are set up as the dense training.

    Args:
        study: with a section ``rewinding`` or ``algorithm``.
        trial: of the study.
    """
    if "algorithm" in study.parts and not trial.task().examples("validation"):
        raise PruningError(f"algorithm: {NO_VALIDATION}")
