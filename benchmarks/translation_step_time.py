"""A training step of GNMT at desk scale: both kinds of decoder, in float32 and in bfloat16.

Target pieces per second of CPU time of a whole step: forward, backward, clipping, update. The
networks take turns in one process on one thread; the first round warms up. Sentences are random
and as long as Multi30k's in the mean, sources all alike, as batches of the desk's study are.
"""

import argparse
import os
import statistics
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from turns import take_turns

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.models.token_loss import summed_loss
from pruning.training.arithmetic import forward_pass
from pruning.training.backward import clip_
from pruning.training.memory import keep_freed

PIECES, PAIRS, SOURCE, TARGET, STEPS = 4000, 64, 17, 16, 4
OPTIONS = {"hidden": 128, "layers": 2, "dropout": 0.1, "forget_bias": 1, "attention_scale": 1}


def training(context: bool, precision: str) -> Callable[[], None]:
    """Some steps of a fresh network."""
    options = {**OPTIONS, "first_layer_context": context}
    module = build(NetworkConfig("gnmt", "uniform_02", options), PIECES, PIECES, 0)
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-4, fused=True)
    draws = torch.Generator().manual_seed(0)
    source, given, wanted = (
        torch.randint(3, PIECES, (PAIRS, length), generator=draws)
        for length in (SOURCE, TARGET, TARGET)
    )
    lengths = torch.full((PAIRS,), SOURCE), torch.full((PAIRS,), TARGET)

    def turn() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            with forward_pass(precision, torch.device("cpu")):
                features = module.features(source, lengths[0], given)
                options = {"vocabulary": PIECES, "smoothing": 0.1}
                loss = summed_loss(module, features, wanted, lengths[1], **options) / PAIRS
            loss.backward()
            clip_([p.grad for p in trained], 5.0)
            optimizer.step()

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    keep_freed()
    cases = {
        f"{'contexts in layer 0' if context else 'none in layer 0':<20} {precision}": training(
            context, precision
        )
        for context in (True, False)
        for precision in ("float32", "bfloat16")
    }
    times = take_turns(cases, rounds)
    pieces = STEPS * PAIRS * TARGET
    for name, seconds in times.items():
        rates = sorted(pieces / one for one in seconds)
        print(f"{name:<32} {statistics.median(rates):>8,.0f} target pieces per CPU second")


if __name__ == "__main__":
    main()
