"""Stages of Algorithm 1: judge a level, and hand over the sparsest network that still matches.

No torch at the top: judging needs none.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from pruning.analysis.records import read_summary
from pruning.analysis.score import find
from pruning.analysis.tidy import write_table
from pruning.files import write_json
from pruning.systems.rewinding.algorithm import (
    judge,
    matches,
    read_judgement,
    read_result,
    read_way,
    sparsest,
)


def judge_level(dense: Path | str, retrained: Path | str, output: Path | str) -> None:
    """Write what a level has lost.

    Args:
        dense, retrained: ``summary.json`` of the dense training and of the level.
        output: the JSON file to write.
    """
    write_json(output, judge(read_summary(dense), read_summary(retrained)))


def write_way(judged: Iterable[Path | str], tolerance: float, output: Path | str) -> None:
    """Write the levels that were tried, each with whether it matches.

    Args:
        judged: level 1, 2, ..., from :func:`judge_level`.
        tolerance: by how much the validation score may be worse, in the unit of its changes.
        output: the JSON file to write.
    """
    rows = [read_judgement(path) for path in judged]
    levels = [{**row, "matches": matches(row, tolerance)} for row in rows]
    write_json(output, {"levels": levels})


def hand_over(
    way: Path | str, folders: Sequence[Path | str], first_mask: Path | str, output: Path | str
) -> None:
    """Write the sparsest network that matches: state, mask, result, and the way there.

    Args:
        way: from :func:`write_way`.
        folders: of the trainings, the dense one first, then level 1, 2, ...
        first_mask: of level 1; names the prunable weights where nothing could be pruned.
        output: folder for ``network.safetensors``, ``mask.safetensors``, ``levels.csv`` and
            ``result.json``.
    """
    from pruning.masks import mask as masking
    from pruning.training.checkpoint import load_masks, load_state, save_masks, save_state

    output, levels = Path(output), read_way(way)
    level = sparsest(levels)
    found = Path(folders[level])
    # All that is read first: nothing is written of files that do not hold.
    state, summary = load_state(found / "state.safetensors"), read_summary(found / "summary.json")
    masks = state.masks
    if level == 0:
        first = load_masks(first_mask)
        masks = masking.dense(first, list(first))
    save_state(state, output / "network.safetensors")
    save_masks(masks, output / "mask.safetensors")
    write_table(pd.DataFrame(levels), output / "levels.csv")
    density, score = summary.get("density", 1.0), find(summary["metric"])
    result = {
        "seed": summary["seed"],
        "level": level,
        "density": density,
        "compression_ratio": round(1 / density, 4),
        "levels_tried": len(levels),
        "ended": "the next level does not match" if level < len(levels) else "at the last level",
        "dense_validation": levels[0]["dense_validation"],
        "pruned_validation": score.factor * summary["scores"]["validation"][score.name],
        "dense_test": levels[0]["dense_test"],
        "pruned_test": score.factor * summary["scores"]["test"][score.name],
        "network": str(found / "state.safetensors"),
    }
    write_json(output / "result.json", result)


def tabulate(results: Iterable[Path | str], output: Path | str) -> None:
    """One row per replicate."""
    write_table(pd.DataFrame([read_result(path) for path in results]).round(4), output)
