"""The authors' own results of Renda et al. (2020) as a tidy table.

They are published as two pickled data frames. A pickle can run any code when it is loaded, so these
are accepted only with the known SHA-256, and read by an unpickler that knows the few pandas and
numpy names a data frame is made of and refuses everything else.

Source: github.com/lottery-ticket/rewinding-iclr20-public, vision/plot.
"""

import hashlib
import importlib
import io
import math
import pickle
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pandas as pd

from pruning.analysis.tidy import COLUMNS
from pruning.errors import PruningError

FILES = {
    "bases_dataframe.pkl": "16679804841a4c680f9b9f184a070010566bfe4e1c92fe31c4fda19445b6a2d1",
    "pruned_dataframe.pkl": "dcfa72a450bb77e7837cfa0e19db23670e61f524cbd7609bd3512fc959172829",
}
STUDY = "renda2020_"  # studies are named as ours that repeat them: renda2020_resnet20, ...

# What the authors' files name, and where today's numpy and pandas keep it.
ALLOWED = {
    "builtins.slice": "builtins.slice",
    "numpy.dtype": "numpy.dtype",
    "numpy.ndarray": "numpy.ndarray",
    "numpy.core.multiarray._reconstruct": "numpy._core.multiarray._reconstruct",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "pandas.core.indexes.base.Index": "pandas.Index",
    "pandas.core.indexes.base._new_Index": "pandas.core.indexes.base._new_Index",
    "pandas.core.indexes.range.RangeIndex": "pandas.RangeIndex",
    "pandas.core.internals.BlockManager": "pandas.core.internals.managers.BlockManager",
}

# Their label: (our network, data set, metric, T in epochs).
NETWORKS = {
    "resnet20": ("resnet20", "cifar10", "accuracy", 182.0),
    "resnet56": ("resnet56", "cifar10", "accuracy", 182.0),
    "resnet110": ("resnet110", "cifar10", "accuracy", 182.0),
    "vgg16_nofc": ("vgg16", "cifar10", "accuracy", 182.0),
    "resnet34": ("resnet34", "imagenet", "accuracy", 90.0),
    "resnet50": ("resnet50", "imagenet", "accuracy", 90.0),
    "gnmt": ("gnmt", "wmt16_en_de", "bleu", 5.0),
}
METHODS = {
    "lottery": "weight_rewind",
    "lr_finetune": "lr_rewind",
    "finetune": "fine_tune",
    "lr_lottery": "low_lr_weight_rewind",
    "reinit": "reinit",
}
VARIANTS = {"Structured-A": "structured_a", "Structured-B": "structured_b"}
LARGEST_FILE = 10_000_000  # bytes; the files have 28 kB and 1.3 MB


def tidy_table(source: Path | str) -> pd.DataFrame:
    """Both files as one tidy table.

    Their FLOPs stand in the column ``macs``: of the authors' own, unpublished counter, so compare
    speed-ups and not values. What a training cost is not published. Every vision row of the dense
    networks stands in the file twice (reference, section 4); one of the two is kept.

    Args:
        source: a folder that holds the two files, or the address of one.

    Raises:
        PruningError: a file is missing, is not the known one, or holds what it must not.
    """
    bases, cells = (read_pickle(fetch(source, name), FILES[name], name) for name in FILES)
    table = pd.concat([_dense(bases), _pruned(cells)], ignore_index=True)
    known = table["network"].map({label: values for label, values in NETWORKS.items()})
    for column, place in (("network", 0), ("dataset", 1), ("metric", 2), ("training_time", 3)):
        table[column] = known.str[place]
    table["study"] = STUDY + table["network"]
    long = table.melt(
        [c for c in table if c not in ("test_acc", "val_acc")],
        ["test_acc", "val_acc"],
        "split",
        "value",
    )
    long["split"] = long["split"].map({"test_acc": "test", "val_acc": "validation"})
    return long.reindex(columns=list(COLUMNS))


def fetch(source: Path | str, name: str) -> bytes:
    """The bytes of one file, from a folder or from the network.

    Raises:
        PruningError: there is none, or it cannot be read.
    """
    try:
        if str(source).startswith(("https://", "http://")):
            with urllib.request.urlopen(f"{str(source).rstrip('/')}/{name}", timeout=60) as answer:
                return answer.read(LARGEST_FILE)
        return Path(source, name).read_bytes()
    except (OSError, HTTPException, ValueError) as error:
        raise PruningError(
            f"The published result {name} cannot be read from {source} ({error}). Set "
            "`published: {renda2020: ...}` in config/config.yaml to a folder that holds "
            f"{' and '.join(FILES)}, or to the address of one."
        ) from error


def read_pickle(content: bytes, sha256: str | None, name: str) -> pd.DataFrame:
    """A data frame from a pickle, without running what it must not run.

    Args:
        content: the file.
        sha256: what it must hash to; None to skip this check.
        name: for messages.

    Raises:
        PruningError: another hash; a name outside :data:`ALLOWED`; not a data frame.
    """
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise PruningError(
            f"{name} is not the file that was published: its SHA-256 is {found}, not {sha256}. "
            "Nothing of it was loaded; fetch it again."
        )
    try:
        frame = _Unpickler(io.BytesIO(content)).load()
    except PruningError as error:
        raise PruningError(f"{name}: {error}") from None
    except Exception as error:  # pickles fail in every way there is
        raise PruningError(f"{name} is no readable pickle ({error!r}).") from error
    if not isinstance(frame, pd.DataFrame):
        raise PruningError(f"{name} holds a {type(frame).__name__}, not a data frame.")
    return frame


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        place = ALLOWED.get(f"{module}.{name}")
        if place is None:
            raise PruningError(
                f"it names {module}.{name}, which a table of results has no use for. Nothing was "
                "run; do not trust this file."
            )
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(module), name)


def _dense(bases: pd.DataFrame) -> pd.DataFrame:
    kept = []
    for _, runs in bases.groupby("network", sort=False):
        runs = runs.sort_values(["test_acc", "val_acc"], kind="stable")
        twice = runs.groupby(["test_acc", "val_acc"]).size().mod(2).eq(0).all()
        kept.append(runs.iloc[::2] if twice else runs)
    table = pd.concat([runs.assign(seed=range(1, len(runs) + 1)) for runs in kept])
    return table.rename(columns={"flops": "macs"}).assign(
        macs=lambda t: pd.to_numeric(t["macs"]),
        method="dense",
        variant="",
        level=0,
        density=1.0,
        mask_density=1.0,
    )


def _pruned(frame: pd.DataFrame) -> pd.DataFrame:
    table = frame.rename(columns={"flops": "macs"})
    table["seed"] = table["trial"].str.removeprefix("trial_").astype(int)
    table["method"] = table["retrain_method"].map(METHODS)
    table["variant"] = table["prune_method"].map(VARIANTS)
    unstructured = table["variant"].isna()
    by_mode = table["is_iterative"].map({True: "iterative", False: "one_shot"})
    table["variant"] = table["variant"].fillna(by_mode)
    # Step s keeps 0.8^s, rounded where one-shot; a structured level has its own density.
    step = (table["density"].map(math.log) / math.log(0.8)).round()
    rank = table.groupby(["network", "variant"])["density"].rank("dense", ascending=False)
    table["level"] = step.where(unstructured, rank).astype(int)
    table["mask_density"] = table["density"].where(unstructured)
    return table.drop(columns=["prune_method", "is_iterative", "retrain_method", "trial"])
