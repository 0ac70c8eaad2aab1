"""Stage: mask -> what it leaves of the network, for people and for tables; no training reads it."""

from pathlib import Path

from pruning.files import read_json
from pruning.masks.report import report as describe
from pruning.stages.context import StageContext
from pruning.training.checkpoint import load_masks, write_metadata


def report(
    context: StageContext,
    data: Path | str,
    mask: Path | str,
    metadata: Path | str,
    output: Path | str,
    *,
    level: int,
    chain: str,
) -> None:
    """Write the report of one level's masks.

    Args:
        context: study, seed, task.
        data: the prepared data set.
        mask: the masks.
        metadata: what the prune stage wrote beside them; the density that a method counts is there.
        output: the JSON file to write.
        level, chain: of the prune stage; they name the mask.

    Raises:
        PruningError: the mask or what is beside it is missing or damaged.
    """
    task = context.load_task(data, f"report on {chain} level {level}")
    write_metadata(
        output,
        config=context.config(stage="report", level=level, chain=chain),
        parents={"mask": mask},
        **context.facts(task),
        density=read_json(metadata)["density"],
        **describe(task, load_masks(mask)),
    )
