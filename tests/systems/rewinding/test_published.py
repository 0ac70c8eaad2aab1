"""The authors' result files: read safely, and equal to the reference's tables."""

import hashlib
import os
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest

from pruning.analysis.cells import best_validated, cells, in_safe_zone, pruned, single_rule, speedup
from pruning.analysis.published import network_cells, read_cells, read_literature, transcribe
from pruning.analysis.tidy import COLUMNS, read_table, write_table
from pruning.errors import PruningError
from pruning.systems.rewinding import published as published_renda2020
from pruning.systems.rewinding.published import FILES, fetch, read_pickle, tidy_table
from pruning.systems.rewinding.rules import CORE
from tests.conftest import REPOSITORY

REFERENCE = REPOSITORY.parent / "shared" / "reference"
RAW = REFERENCE / "renda2020_raw"
RESOURCES = REPOSITORY / "resources" / "published"
needs_raw = pytest.mark.skipif(not RAW.exists(), reason=f"the authors' files are not in {RAW}")
KEYS = ["network", "variant", "method", "level", "retrain_time"]


@pytest.fixture(scope="module")
def tidy():
    return tidy_table(RAW)


@pytest.fixture(scope="module")
def reference():
    table = pd.read_csv(REFERENCE / "renda2020_pruned.csv")
    modes = table["is_iterative"].map({True: "iterative", False: "one_shot"})
    structured = table["prune_method"].str.startswith("structured")
    table["variant"] = table["prune_method"].where(structured, modes)
    return table.rename(columns={"retrain_method": "method", "prune_step": "level"})


@needs_raw
def test_every_cell_equals_the_references_table(tidy, reference):
    both = pruned(cells(tidy)).merge(
        reference, on=KEYS, how="outer", suffixes=("", "_ref"), indicator=True
    )
    assert len(both) == 7530
    assert (both["_merge"] == "both").all()
    scale = both["network"].map(lambda network: 1 if network == "gnmt" else 100)
    for ours, theirs in (("median", "delta_median"), ("min", "delta_min"), ("max", "delta_max")):
        assert np.allclose(both[ours], scale * both[theirs], atol=1e-4), ours
    assert np.allclose(both["validation"], both["val_median"], atol=1e-6)
    assert (both["n"] == both["n_ref"]).all()
    assert (both["n_macs"] == both["n_flops"]).all()
    assert np.allclose(both["density"], both["density_ref"], atol=1e-6)
    ours, theirs = speedup(both)["speedup"], both["speedup_median"]
    assert (ours.notna() == theirs.notna()).all()
    assert np.allclose(ours.dropna(), theirs.dropna(), atol=1e-4)
    assert (in_safe_zone(both) == both["in_safe_zone"]).all()


@needs_raw
@pytest.mark.parametrize(
    ("rule", "column"),
    [(best_validated, "is_best_validated"), (partial(single_rule, methods=CORE), "is_single_rule")],
)
def test_the_same_cells_are_chosen(tidy, reference, rule, column):
    chosen = set(pruned(rule(cells(tidy)))[KEYS].itertuples(index=False, name=None))
    wanted = set(reference[reference[column]][KEYS].itertuples(index=False, name=None))
    assert chosen == wanted


@needs_raw
def test_the_dense_networks_equal_the_references_table(tidy):
    bases = pd.read_csv(REFERENCE / "renda2020_bases.csv").set_index("network")
    dense = tidy[tidy["method"] == "dense"]
    test = dense[dense["split"] == "test"].groupby("network")["value"]
    for network, row in bases.iterrows():
        scores = test.get_group(network)
        assert len(scores) == row["n_runs"]
        found = (scores.mean(), scores.std(), scores.median(), scores.min(), scores.max())
        wanted = row[["test_mean", "test_std_runs", "test_median", "test_min", "test_max"]]
        assert found == pytest.approx(tuple(wanted), abs=2e-6)


@needs_raw
def test_the_committed_transcription_is_what_the_files_say(tidy, tmp_path):
    write_table(transcribe(cells(tidy)), tmp_path / "renda2020.csv")
    assert (tmp_path / "renda2020.csv").read_bytes() == (RESOURCES / "renda2020.csv").read_bytes()


@needs_raw
def test_the_tidy_table_survives_its_file(tidy, tmp_path):
    write_table(tidy, tmp_path / "tidy.csv")
    again = read_table(tmp_path / "tidy.csv")
    assert tuple(again.columns) == COLUMNS
    pd.testing.assert_frame_equal(cells(again), cells(tidy), check_dtype=False)


def test_transcribed_numbers_against_the_references_text():
    """Section 6a of the reference, typed from there: LR / weight rewinding / fine-tuning."""
    chosen = single_rule(read_cells("renda2020", RESOURCES), CORE)
    chosen = chosen.set_index(["network", "variant", "level", "method"])["median"]
    methods = ("lr_rewind", "weight_rewind", "fine_tune")
    for network, mode, level, wanted in (
        ("resnet20", "one_shot", 10, (-2.69, -2.56, -3.20)),
        ("resnet56", "iterative", 2, (-0.00, 0.24, 0.12)),
        ("resnet110", "iterative", 5, (0.75, 0.61, -0.41)),
        ("resnet50", "iterative", 10, (-0.69, -0.84, -2.33)),
        ("gnmt", "one_shot", 8, (-0.79, -1.56, -2.14)),
        ("resnet34", "structured_b", 5, (-1.82, -2.26, -3.71)),
    ):
        found = [chosen[network, mode, level, method] for method in methods]
        assert found == pytest.approx(wanted, abs=0.0051), (network, mode, level)


def test_published_networks_and_papers_are_named_where_there_are_none():
    assert set(network_cells("renda2020:gnmt", RESOURCES)["unit"]) == {"BLEU"}
    with pytest.raises(PruningError, match="Did you mean 'resnet56'"):
        network_cells("renda2020:resnet57", RESOURCES)
    with pytest.raises(PruningError, match="Published results there are: .*renda2020"):
        network_cells("frankle2021:vgg16", RESOURCES)


def test_the_literature_points_have_their_sources():
    points = read_literature("renda2020", RESOURCES)
    assert len(points) == 14
    # Reference, section 5.
    assert points[points["network"] == "resnet56"]["change"].tolist() == [
        -0.06, 0.16, -0.65, -1.35, -0.05, -0.09
    ]  # fmt: skip
    assert points["spread"].dropna().tolist() == [0.14, 0.18, 0.22, 0.25]
    assert points["source"].notna().all()
    assert points["density"].between(0, 1).all()


def test_the_reader_on_rows_by_hand(monkeypatch):
    """As the authors' files are laid out: doubled dense rows, their names, rounded densities."""
    bases = pd.DataFrame(
        [*2 * [("resnet20", 0.91, 0.90, 100)], *2 * [("resnet20", 0.93, 0.92, 100)],
         ("gnmt", 27.0, 24.0, np.nan)],
        columns=["network", "test_acc", "val_acc", "flops"],
    )  # fmt: skip
    rows = [
        ("resnet20", "Unstructured", True, "lottery", 0.8**10, 150.0, "trial_2", 0.90, 0.89, 20.0),
        ("resnet20", "Unstructured", False, "lr_finetune", 0.1074, 182.0, "trial_1", 0.8, 0.7, 9),
        ("resnet20", "Structured-B", False, "finetune", 0.9, 10.0, "trial_1", 0.8, 0.7, None),
        ("resnet20", "Structured-B", False, "lr_lottery", 0.7, 10.0, "trial_1", 0.8, 0.7, None),
        ("gnmt", "Unstructured", False, "reinit", 0.8, 0.5, "trial_3", 20.0, 19.0, None),
    ]  # fmt: skip
    columns = ["network", "prune_method", "is_iterative", "retrain_method", "density",
               "retrain_time", "trial", "test_acc", "val_acc", "flops"]  # fmt: skip
    frames = iter((bases, pd.DataFrame(rows, columns=columns)))
    monkeypatch.setattr(published_renda2020, "fetch", lambda source, name: b"")
    monkeypatch.setattr(published_renda2020, "read_pickle", lambda *_: next(frames))
    table = tidy_table("anywhere")
    test = table[table["split"] == "test"]
    dense = test[test["method"] == "dense"]
    assert sorted(dense["value"]) == [0.91, 0.93, 27.0]
    found = test[test["method"] != "dense"]
    keys = ["study", "variant", "method", "level", "seed", "metric", "training_time", "value"]
    assert found[keys].values.tolist() == [
        ["renda2020_resnet20", "iterative", "weight_rewind", 10, 2, "accuracy", 182, 0.90],
        ["renda2020_resnet20", "one_shot", "lr_rewind", 10, 1, "accuracy", 182, 0.8],
        ["renda2020_resnet20", "structured_b", "fine_tune", 1, 1, "accuracy", 182, 0.8],
        ["renda2020_resnet20", "structured_b", "low_lr_weight_rewind", 2, 1, "accuracy", 182, 0.8],
        ["renda2020_gnmt", "one_shot", "reinit", 1, 3, "bleu", 5, 20.0],
    ]
    assert found["macs"].tolist()[0] == 20
    validation = table[(table["split"] == "validation") & (table["method"] == "weight_rewind")]
    assert validation["value"].tolist() == [0.89]


# -- pickles that must not be loaded ---------------------------------------------------------------


class Malicious:
    """What a poisoned pickle does when it is loaded carelessly."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_a_malicious_pickle_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "owned"
    content = pickle.dumps(Malicious(marker))
    with pytest.raises(PruningError, match=r"names (posix|nt)\.system.*do not trust this file"):
        read_pickle(content, None, "bad.pkl")
    assert not marker.exists()
    pickle.loads(content)  # the same bytes, loaded carelessly
    assert marker.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "pandas.read_pickle"])
def test_not_even_other_names_of_the_allowed_packages_are_known(name):
    module, _, attribute = name.rpartition(".")
    content = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(PruningError, match=f"names {name}"):
        read_pickle(content, None, "bad.pkl")


def test_a_name_cannot_be_reached_through_an_allowed_one():
    """Protocol 4 takes dotted names: numpy.dtype is allowed, its attributes are not."""
    content = (
        b"\x80\x04"
        + pickle.SHORT_BINUNICODE + bytes([5]) + b"numpy"
        + pickle.SHORT_BINUNICODE + bytes([14]) + b"dtype.__init__"
        + pickle.STACK_GLOBAL + b"."
    )  # fmt: skip
    with pytest.raises(PruningError, match=r"names numpy\.dtype\.__init__"):
        read_pickle(content, None, "bad.pkl")


def test_the_hash_is_checked_before_anything_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(published_renda2020.pickle, "Unpickler", None)
    content = pickle.dumps(Malicious(tmp_path / "owned"))
    with pytest.raises(PruningError, match="not the file that was published"):
        read_pickle(content, FILES["bases_dataframe.pkl"], "bases_dataframe.pkl")
    for name in FILES:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PruningError, match=r"bases_dataframe\.pkl is not the file"):
        tidy_table(tmp_path)


def test_what_is_no_pickle_or_no_table_is_said(tmp_path):
    with pytest.raises(PruningError, match="no readable pickle"):
        read_pickle(b"\x00nothing", None, "x.pkl")
    with pytest.raises(PruningError, match="holds a list, not a data frame"):
        read_pickle(pickle.dumps([1]), None, "x.pkl")
    digest = hashlib.sha256(b"\x00").hexdigest()
    with pytest.raises(PruningError, match="no readable pickle"):
        read_pickle(b"\x00", digest, "x.pkl")
    with pytest.raises(PruningError, match=r"cannot be read from .*config/config\.yaml"):
        tidy_table(tmp_path / "nowhere")
    with pytest.raises(PruningError, match="cannot be read from https"):
        tidy_table("https://[bad")


def test_files_come_from_an_address_too(tmp_path):
    import functools
    import http.server
    import threading

    (tmp_path / "bases_dataframe.pkl").write_bytes(b"content")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        assert fetch(place, "bases_dataframe.pkl") == b"content"
        with pytest.raises(PruningError, match="cannot be read from http"):
            fetch(place, "pruned_dataframe.pkl")
        server.shutdown()
