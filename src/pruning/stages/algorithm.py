"""Stages of Algorithm 1: judge a level, and hand over the sparsest network that still matches."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pruning import masks as masking
from pruning.analysis.tidy import write_table
from pruning.files import atomic_path, read_json, write_json
from pruning.methods.algorithm import judge, sparsest
from pruning.training.checkpoint import load_masks, load_state, save_masks


def judge_level(
    dense: Path | str, retrained: Path | str, tolerance: float, output: Path | str
) -> None:
    """Write whether a level still matches.

    Args:
        dense, retrained: ``summary.json`` of the dense training and of the level.
        tolerance: in percentage points of validation accuracy.
        output: the JSON file to write.
    """
    write_json(output, judge(read_json(dense), read_json(retrained), tolerance))


def hand_over(
    decisions: Iterable[Path | str],
    state: Path | str,
    summary: Path | str,
    first_mask: Path | str,
    output: Path | str,
) -> None:
    """Write the sparsest network that matches: state, mask, result, and the way there.

    Args:
        decisions: of every level that was tried, in order.
        state, summary: of that network.
        first_mask: of level 1; names the prunable weights where nothing could be pruned.
        output: folder for ``network.safetensors``, ``mask.safetensors``, ``levels.csv`` and
            ``result.json``.
    """
    output = Path(output)
    rows = [read_json(path) for path in decisions]
    level = sparsest(rows)
    with atomic_path(output / "network.safetensors") as temporary:
        shutil.copyfile(state, temporary)
    masks = load_state(state).masks
    if level == 0:
        first = load_masks(first_mask)
        masks = masking.dense(first, list(first))
    save_masks(masks, output / "mask.safetensors")
    write_table(pd.DataFrame(rows), output / "levels.csv")
    found = read_json(summary)
    density = found.get("density", 1.0)
    result = {
        "seed": found["seed"],
        "level": level,
        "density": density,
        "compression_ratio": round(1 / density, 4),
        "levels_tried": len(rows),
        "ended": "the next level does not match" if level < len(rows) else "at the last level",
        "dense_validation": rows[0]["dense_validation"],
        "pruned_validation": 100 * found["scores"]["validation"]["accuracy"],
        "dense_test": rows[0]["dense_test"],
        "pruned_test": 100 * found["scores"]["test"]["accuracy"],
        "network": str(state),
    }
    write_json(output / "result.json", result)


def tabulate(results: Iterable[Path | str], output: Path | str) -> None:
    """One row per replicate."""
    write_table(pd.DataFrame([read_json(path) for path in results]).round(4), output)
