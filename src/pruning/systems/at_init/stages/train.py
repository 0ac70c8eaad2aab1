"""Stage: mask + state -> the network trained under the mask."""

from pathlib import Path

from pruning.stages.context import StageContext
from pruning.stages.under_mask import train_under_mask


def at_init(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str | None,
    output: Path | str,
    *,
    method: str,
    variant: str,
    schedule: str,
    epoch: float,
    epochs: float,
    level: int,
) -> None:
    """Train a network pruned at initialization, or later; write state, metrics and summary.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks; their metadata lies beside them.
        state: where weights come from; None draws them anew.
        output: folder to write.
        method, variant, epoch, level: name the cell; with the seed they decide its random draws.
            ``epoch`` of the dense training is the one whose weights were scored.
        schedule: ``whole`` or ``rest``, see :func:`pruning.training.pruned.train_pruned`.
        epochs: how long that takes, for the summary.
    """
    cell = {
        "method": method,
        "variant": variant,
        "level": level,
        "pruned_at": epoch,
        "retrain_time": epochs,
    }
    stream = ("at_init", method, variant, f"e{epoch:g}", f"level{level}")
    train_under_mask(
        context, data, mask, state, output, stream=stream, cell=cell, schedule=schedule
    )
