"""The five re-training methods of Renda et al. (2020) as one table.

After pruning, a retraining starts from a state put together from three: the *final* state (what was
pruned), the *rewind* state (the original training at the rewind step) and a *fresh* one. A method
is one row: where each part comes from. To add a method, add a row; nothing else changes.
"""

from dataclasses import asdict, dataclass
from typing import Literal

from pruning.errors import look_up

# A new row changes no other; the row a stage uses is among the stage's parameters.
CODE_VERSION_SKIP = "a table of rows"

Source = Literal["final", "rewind", "fresh"]


@dataclass(frozen=True)
class Rule:
    """One re-training method.

    Attributes:
        weights, buffers, slots: the state that supplies them.
        step: the step that the schedule counts on from (``fresh`` is 0).
        learning_rate: ``schedule``: the original schedule from that step on; ``last``: constant at
            the original training's last value.
    """

    weights: Source
    buffers: Source
    slots: Source
    step: Source
    learning_rate: Literal["schedule", "last"]

    @property
    def needs_rewind_state(self) -> bool:
        """Whether tensors of the rewind state are used (its step number costs nothing)."""
        return "rewind" in (self.weights, self.buffers, self.slots)

    def to_dict(self) -> dict[str, str]:
        """Plain values, for fingerprints."""
        return asdict(self)


# fmt: off
RULES = {
    #                             weights   buffers   slots     step      learning rate
    "weight_rewind":         Rule("rewind", "rewind", "rewind", "rewind", "schedule"),
    "lr_rewind":             Rule("final",  "final",  "final",  "rewind", "schedule"),
    "fine_tune":             Rule("final",  "final",  "final",  "final",  "last"),
    "low_lr_weight_rewind":  Rule("rewind", "rewind", "rewind", "rewind", "last"),
    "reinit":                Rule("fresh",  "fresh",  "fresh",  "fresh",  "schedule"),
}
# fmt: on
CORE = ("lr_rewind", "weight_rewind", "fine_tune")  # the three that the paper is about


def rule(method: str) -> Rule:
    """The row of a method.

    Raises:
        PruningError: no such method.
    """
    return look_up("re-training method", method, RULES)
