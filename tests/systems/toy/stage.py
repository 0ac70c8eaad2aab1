"""Stage: mask + initial state -> a random ticket."""

from pruning.stages.under_mask import train_under_mask

SCHEDULE = "whole"


def train(context, data, mask, state, output, *, level):
    train_under_mask(
        context,
        data,
        mask,
        state,
        output,
        stream=("toy", f"level{level}"),
        cell={"method": "random_ticket", "level": level},
        schedule=SCHEDULE,
    )
