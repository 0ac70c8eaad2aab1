"""What every stage is told, and the task that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pruning import registry
from pruning.training.task import Task


@dataclass(frozen=True)
class StageContext:
    """What every stage is told.

    Attributes:
        study: the study's name.
        seed: the replicate.
        task: the study's plain task values.
        code_version: of the stage's code.
        device: "cpu", "cuda:0", ...
    """

    study: str
    seed: int
    task: Mapping[str, Any]
    code_version: str
    device: str = "cpu"

    @property
    def given(self) -> bool:
        """Whether the dense network is from a file, so that none of its training was spent here."""
        return "dense" in self.task

    def load_task(self, data: Path | str, stage: str) -> Task:
        """The task on its device; ``stage`` names it in messages."""
        load = registry.find("task kind", self.task["kind"])
        name = f"study {self.study}, seed {self.seed}, {stage}"
        task = load(self.task, data, device=self.device, name=name)
        task.prunable()  # a wrong network option or exempt layer is known before the training
        return task

    def changed(self, recipe: Mapping[str, Any], **network: Any) -> "StageContext":
        """The same with another recipe, and other values of the network's configuration."""
        task = {**self.task, "recipe": recipe, "network": {**self.task["network"], **network}}
        return replace(self, task=task)

    def facts(self, task: Task) -> dict[str, Any]:
        """What every summary says of the study it belongs to."""
        return {
            "network": self.task["network"]["name"],
            "data": task.record(),
            "seed": self.seed,
            "metric": task.metric.name,
            "training_time": task.recipe.epochs,
        }

    def config(self, **stage: Any) -> dict[str, Any]:
        """Everything besides input files that decides a stage's numbers."""
        return {
            "seed": self.seed,
            "task": dict(self.task),
            "code_version": self.code_version,
            "device": self.device.partition(":")[0],
            **stage,
        }
