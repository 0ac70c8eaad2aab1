"""Stage: mask -> what it leaves of the network, for people and for tables; no training reads it."""

from pathlib import Path

from pruning.masks.report import report as describe
from pruning.stages.context import StageContext
from pruning.stages.masked import read_mask
from pruning.training.checkpoint import write_metadata


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
        metadata: what the prune stage wrote beside them, with the density that a method counts.
        output: the JSON file to write.
        level, chain: of the prune stage; they name the mask.

    Raises:
        PruningError: the mask or what is beside it is missing or damaged.
    """
    task = context.load_task(data, f"report on {chain} level {level}")
    masks, facts = read_mask(task, mask, metadata)
    write_metadata(
        output,
        config=context.config(stage="report", level=level, chain=chain),
        parents={"mask": mask},
        **context.facts(task),
        density=facts["density"],
        **describe(task, masks),
    )
