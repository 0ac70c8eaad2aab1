"""Tables as trainings would leave them, of numbers that can be worked out by hand."""

import numpy as np
import pandas as pd

from pruning.analysis import tidy
from pruning.systems.prunetrain import tables as own

RATIOS = (0.1, 0.2, 0.3)
EPOCHS, FIRST_CUT, SECOND_CUT = 10, 3, 6
STRENGTH, BOUND, THRESHOLD = 0.01, 0.002, 1e-2
ONCE = ("prunetrain_one_time", "train_then_prune")
LEVELS = {
    "prunetrain": (1, 2, 3),
    "prunetrain_one_time": (2,),
    "prunetrain_gating": (1, 2),
    "prunetrain_size_scaled": (2,),
    "prunetrain_dynamic_batch": (2, 3),
    "train_then_prune": (2, 3),
}
LAYERS = {  # inputs, outputs, MACs of inference and of training
    "conv1": (3, 4, 100, 350),
    "conv2": (4, 8, 600, 2100),
    "fc": (8, 10, 300, 900),
}
# What a network costs as built, and how much faster or slower it falls than what is cut.
COSTS = {
    "inference_macs": (1000, 1.0),
    "training_macs": (3350, 1.1),
    "norm_traffic": (96, 0.5),
    "activations": (640, 0.6),
    "model_elements": (222, 1.4),
    "parameters": (230, 1.3),
    "out_channels": (12, 0.7),
}


def cell(study, seed, method, level, variant="unmodified"):
    return {
        "study": study,
        "network": "small_cnn",
        "dataset": "digits",
        "seed": seed,
        "method": method,
        "variant": variant if level else np.nan,
        "level": level,
        "density": 1 - cut(method, level, seed, EPOCHS) if level else 1.0,
        "metric": "accuracy",
        "ratio": RATIOS[level - 1] if level else np.nan,
    }


def cells(seeds, studies):
    for study in studies:
        for seed in range(seeds):
            for method, levels in LEVELS.items():
                yield from ((study, seed, method, level) for level in levels)


def cut(method, level, seed, epoch):
    """What has been cut of the network that an epoch trains."""
    if epoch <= FIRST_CUT or (method in ONCE and epoch < EPOCHS):
        return 0.0
    step = 1 if epoch <= SECOND_CUT else 2
    return 0.1 * level * step + 0.02 * seed + (0.03 if method == "prunetrain_gating" else 0)


def left(name, method, level, seed, epoch):
    whole, slope = COSTS[name]
    gone = 0.0 if method in ONCE else cut(method, level, seed, epoch)
    return whole * (1 - slope * gone)


def batch_of(method, epoch):
    return 128 if method == "prunetrain_dynamic_batch" and epoch > FIRST_CUT else 64


def epoch_rows(seeds=2, studies=("s",)):
    for study in studies:
        for seed in range(seeds):
            for epoch in range(1, 6):
                row = dict.fromkeys(own.EPOCHS, np.nan) | cell(study, seed, "dense", 0)
                yield row | {"epoch": epoch, "training_macs": 7e9, "train_loss": 1 / epoch}
    for study, seed, method, level in cells(seeds, studies):
        for epoch in range(1, EPOCHS + 1):
            row = dict.fromkeys(own.EPOCHS, 0.0) | cell(study, seed, method, level)
            row |= {name: left(name, method, level, seed, epoch) for name in COSTS}
            rate = (0.1 if epoch <= 5 else 0.01) * batch_of(method, epoch) / 64
            yield row | {
                "strength": STRENGTH,
                "bound": BOUND,
                "epoch": epoch,
                "learning_rate": rate,
                "train_loss": 2.0 / epoch,
                "penalty": level * 0.5 / epoch**0.5,
                "dense_outputs": 1 - 0.05 * level * (epoch % 3) - 0.01 * seed,
                "dense_inputs": 1 - 0.08 * level * (epoch % 3) - 0.01 * seed,
                "rate_times_strength": rate * STRENGTH / level,
                "batch": batch_of(method, epoch),
                "memory": 2**20 * left("parameters", method, level, seed, epoch),
            }


def second_rows(seeds=2, studies=("s",)):
    for study, seed, method, level in cells(seeds, studies):
        for epoch in range(1, EPOCHS + 1):
            row = cell(study, seed, method, level)
            kept = 1 - 0.4 * cut(method, level, seed, epoch)
            yield row | {
                "epoch": epoch,
                "steps": 100 if epoch % 2 else 102,
                "batch": batch_of(method, epoch),
                "parameters": left("parameters", method, level, seed, epoch),
                "seconds": 9.0 if epoch == 1 else (2 + seed) * kept,
            }


def layer_rows(seeds=2, studies=("s",)):
    for study, seed, method, level in cells(seeds, studies):
        for position, (layer, (inputs, outputs, *macs)) in enumerate(LAYERS.items()):
            gone = 0 if layer == "fc" else level + seed * (layer == "conv2")
            gone += layer == "conv1" and method == "prunetrain_size_scaled"
            kept = (outputs - gone) / outputs
            yield cell(study, seed, method, level) | {
                "layer": layer,
                "position": position,
                "inputs_before": inputs,
                "outputs_before": outputs,
                "inputs": inputs,
                "outputs": outputs - gone,
                "inference_macs_before": macs[0],
                "training_macs_before": macs[1],
                "inference_macs": macs[0] * kept,
                "training_macs": macs[1] * kept,
            }


RECORDS = (3, 6, 9, 10)
# By channel of conv2 the largest |w| at each of the records: two revive, of five that were sparse
# before the last of them.
SIZES = {
    0: (0.5, 0.4, 0.3, 0.2),
    1: (0.5, 1e-3, 1e-5, 1e-6),
    2: (0.5, 5e-3, 0.02, 0.03),
    3: (1.0, 2.0, 20.0, 5.0),
    4: (0.5, 0.3, 1e-3, 9e-3),
    5: (5e-3, 0.1, 5e-3, 5e-4),
    6: (0.3, 0.2, 0.1, 9.5e-3),
    7: (9e-3, 9e-3, 0.0, 0.0),
}


def channel_rows(seeds=2, studies=("s",)):
    for study, seed, method, level in cells(seeds, studies):
        if method not in ONCE:
            continue
        for position, (layer, (_, outputs, *_)) in enumerate(LAYERS.items()):
            for channel in range(outputs):
                sizes = SIZES[channel] if layer == "conv2" else (0.5 + 0.1 * channel,) * 4
                for epoch, size in zip(RECORDS, sizes, strict=True):
                    yield cell(study, seed, method, level) | {
                        "threshold": THRESHOLD,
                        "epoch": epoch,
                        "layer": layer,
                        "position": position,
                        "channel": channel,
                        "size": size * (1 + seed),
                    }


def filter_rows(seeds=2, studies=("s",)):
    for study, seed, method, level in cells(seeds, studies):
        if method not in ONCE:
            continue
        for position, layer in enumerate(("conv1", "conv2")):
            inputs, outputs, *_ = LAYERS[layer]
            for output in range(outputs):
                for source in range(inputs):
                    yield cell(study, seed, method, level) | {
                        "threshold": THRESHOLD,
                        "layer": layer,
                        "position": position,
                        "input": source,
                        "output": output,
                        "size": 1e-3 * (1 + source) * 2**output * (1 + seed),
                    }


# Accuracy, MACs of inference, of training, seconds, epochs of its own training; of seed 0.
SCORES = {
    ("dense", "", 0): (0.90, 1000, 2e6, 20.0, np.nan),
    ("prunetrain", "unmodified", 1): (0.91, 800, 1.8e6, 18.0, 10),
    ("prunetrain", "unmodified", 2): (0.89, 600, 1.5e6, 15.0, 10),
    ("prunetrain", "unmodified", 3): (0.86, 400, 1.2e6, 12.0, 10),
    ("prunetrain_one_time", "unmodified", 2): (0.88, 580, 2.0e6, 20.0, 10),
    ("prunetrain_gating", "unmodified", 1): (0.90, 780, 1.7e6, 18.0, 10),
    ("prunetrain_gating", "unmodified", 2): (0.885, 560, 1.4e6, 15.0, 10),
    ("prunetrain_size_scaled", "unmodified", 2): (0.87, 610, 1.6e6, 15.0, 10),
    ("prunetrain_dynamic_batch", "unmodified", 2): (0.88, 620, 1.5e6, 14.0, 10),
    ("prunetrain_dynamic_batch", "unmodified", 3): (0.85, 420, 1.2e6, 11.0, 10),
    ("train_then_prune", "unmodified", 2): (0.84, 550, 4.0e6, 20.0, 10),
    ("train_then_prune", "unmodified", 3): (0.80, 350, 4.0e6, 20.0, 10),
    ("train_then_prune", "fine_tuned", 2): (0.895, 550, 4.6e6, 5.0, 5),
    ("train_then_prune", "fine_tuned", 3): (0.87, 350, 4.4e6, 5.0, 5),
}


def score_rows(seeds=2, studies=("s",)):
    for study in studies:
        for seed in range(seeds):
            for (method, variant, level), numbers in SCORES.items():
                value, macs, training, seconds, time = numbers
                row = dict.fromkeys(tidy.COLUMNS, np.nan)
                found = cell(study, seed, method, level, variant)
                row |= {name: found[name] for name in found if name != "ratio"}
                row |= {
                    "mask_density": row["density"],
                    "macs": macs + (20 * seed if level else 0),
                    "training_macs": training * (1 + (0.02 * seed if level else 0)),
                    "training_steps": 1000,
                    "seconds": seconds,
                    "training_time": 10.0,
                    "retrain_time": time,
                }
                yield row | {"split": "test", "value": value + 0.004 * seed}
                yield row | {"split": "validation", "value": 0.5}
                yield row | {"split": "test", "metric": "loss", "value": 9.0}


ROWS = {
    "prunetrain": score_rows,
    "prunetrain_epochs": epoch_rows,
    "prunetrain_layers": layer_rows,
    "prunetrain_channels": channel_rows,
    "prunetrain_filters": filter_rows,
    "prunetrain_seconds": second_rows,
}


def tables(seeds=2, studies=("s",)):
    """Every table of the wing."""
    return {name: pd.DataFrame(rows(seeds, studies)) for name, rows in ROWS.items()}
