"""What a training stage writes, and its resume file."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pruning.analysis.records import check_scores, read_summary
from pruning.files import digest, write_csv, write_json
from pruning.masks import mask as masking
from pruning.models.cost import training_macs
from pruning.training.checkpoint import (
    input_sha256,
    save_state,
    versions,
    write_metadata,
)
from pruning.training.evaluate import SPLITS
from pruning.training.loop import Trained
from pruning.training.resume import ResumeFile
from pruning.training.task import Task


def resume_file(
    output: Path | str, config: Mapping[str, Any], parents: Mapping[str, Path | str]
) -> ResumeFile:
    """The undeclared resume folder beside a stage's output, fingerprinted."""
    inputs = {role: input_sha256(path) for role, path in parents.items()}
    fingerprint = digest({"config": config, "inputs": inputs, "versions": versions()})
    return ResumeFile(Path(f"{output}.resume"), fingerprint)


def write_training(
    trained: Trained,
    output: Path,
    *,
    config: Mapping[str, Any],
    parents: Mapping[str, Path | str],
    summary: Mapping[str, Any],
) -> None:
    """Write what a training left into a folder; ``summary.json`` comes last.

    ``timing.json`` alone holds what differs from run to run.
    """
    check_scores(summary, output / "summary.json")
    checksum = save_state(trained.state, output / "state.safetensors")
    write_metadata(
        output / "state.json",
        config=config,
        parents=parents,
        tensors=checksum,
        step=trained.state.step,
        density=masking.density(trained.state.masks),
    )
    write_csv(output / "metrics.csv", table_csv(trained.metrics))
    rows = len(trained.metrics)
    write_json(output / "timing.json", {"seconds": round(trained.seconds, 3), "epochs": rows})
    write_json(output / "summary.json", summary)


def final_scores(trained: Trained) -> dict[str, dict[str, float]]:
    """The task's scores by split at the end of a training."""
    last = trained.metrics[-1]
    return {
        split: {
            name.removeprefix(f"{split}_"): value
            for name, value in last.items()
            if name.startswith(f"{split}_")
        }
        for split in SPLITS
    }


def spent(
    task: Task, steps: int, macs: int, parent_summary: Path | str | None = None
) -> dict[str, int]:
    """What a network has cost so far: all trainings that led to it, this one included.

    Args:
        task: says how many examples a step sees.
        steps: optimizer steps of this training.
        macs: multiply-accumulates of one example, masked weights skipped.
        parent_summary: of the training that was pruned; none for a dense training.
    """
    return spent_since(parent_summary, steps, training_macs(macs, task.examples_seen(steps)))


def spent_since(parent_summary: Path | str | None, steps: int, macs: int) -> dict[str, int]:
    """As :func:`spent`, of a training that itself took so many MACs."""
    before = read_summary(parent_summary) if parent_summary is not None else {}
    return {
        "training_steps": before.get("training_steps", 0) + steps,
        "training_macs": before.get("training_macs", 0) + macs,
    }


def table_csv(rows: list[dict], names: Sequence[str] = ()) -> str:
    """Rows with the same keys as CSV; the metrics of a training have one per epoch.

    Args:
        rows: in order.
        names: of the columns, where there are no rows.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys() if rows else names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
