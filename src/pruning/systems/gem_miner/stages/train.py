"""Stage: mask + network -> what a search found, or a baseline, trained under the mask."""

from pathlib import Path
from typing import Any

from pruning.stages.context import StageContext
from pruning.stages.under_mask import train_under_mask


def train(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    state: Path | str | None,
    output: Path | str,
    *,
    method: str,
    variant: str,
    level: int,
    recipe: dict[str, Any],
    initialization: str,
    fan_share: float = 1.0,
    search_summary: Path | str | None = None,
) -> None:
    """Train under a mask; the summary also has the scores before training, ``start_<metric>``.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks; what their pruning decided lies beside them.
        state: where weights come from; None draws them anew.
        output: folder to write.
        method, variant, level: name the cell; with the seed they decide its random draws.
        recipe: how it trains.
        initialization: of weights that are drawn anew.
        fan_share: of these, see :class:`pruning.systems.gem_miner.rules.Search`: a share of the
            fan-in divides weights by its square root.
        search_summary: of the search, for costs; None where nothing was searched.
    """
    stream = ("gem_miner", method, variant, f"level{level}")
    cell = {
        "method": method,
        "variant": variant,
        "level": level,
        "retrain_time": recipe["epochs"],
        "training_time": context.task["recipe"]["epochs"],
    }
    train_under_mask(
        context.changed(recipe, initialization=initialization),
        data,
        mask,
        state,
        output,
        stream=stream,
        cell=cell,
        fresh_scale=fan_share**-0.5,
        parent_summary=search_summary,
        score_start=True,
    )
