"""Stage: mask + initial state -> the winning ticket, trained."""

from pathlib import Path

from pruning.stages.context import StageContext
from pruning.stages.under_mask import train_under_mask


def ticket(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str,
    pruned_summary: Path | str,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    epochs: float,
) -> None:
    """Train the initial weights under a mask with the study's recipe (Ding et al. 2019, table 4).

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: found in a trained network; its metadata lies beside it.
        state: the initial state of the dense training.
        pruned_summary: of the network that the mask was found in, for costs.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide its data order.
        epochs: of the training, for the summary.
    """
    train_under_mask(
        context,
        data,
        mask,
        state,
        output,
        stream=(method, variant, f"level{level}"),
        cell={"method": method, "variant": variant, "level": level, "retrain_time": epochs},
        parent_summary=pruned_summary,
    )
