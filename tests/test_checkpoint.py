import errno
import json
import os
import pickle

import pytest
import torch

from pruning import files
from pruning.errors import PruningError
from pruning.masks.weights import prune
from pruning.training import checkpoint
from pruning.training.checkpoint import load_masks, load_state, save_masks, save_state
from pruning.training.dense import train_dense
from pruning.training.state import load_into
from tests.conftest import assert_same_state


@pytest.fixture
def state(make_task):
    """A pruned state with momentum."""
    task = make_task("small_cnn", epochs=1, milestones=())
    final = train_dense(task, 0, steps=5).final
    return final.masked(prune(task, final, 0.5))


def test_round_trip_and_equal_bytes(state, tmp_path):
    save_state(state, tmp_path / "a.safetensors")
    save_state(state, tmp_path / "b.safetensors")
    loaded = load_state(tmp_path / "a.safetensors")
    assert_same_state(loaded, state)
    assert torch.equal(loaded.generators["cpu"], state.generators["cpu"])
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    save_masks(state.masks, tmp_path / "m.safetensors")
    masks = load_masks(tmp_path / "m.safetensors")
    assert all(torch.equal(masks[n], m) for n, m in state.masks.items())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.safetensors",
        "b.safetensors",
        "m.safetensors",
    ]


@pytest.mark.parametrize("length", [0, 4, 100, 5000])
def test_truncated_files_are_refused_by_name(state, tmp_path, length):
    path = tmp_path / "state.safetensors"
    save_state(state, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PruningError, match=r"state\.safetensors is truncated or damaged"):
        load_state(path)


def test_foreign_files_and_pickles_are_refused(state, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "trapped"),)

    (tmp_path / "p.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(PruningError, match="damaged"):
        load_state(tmp_path / "p.safetensors")
    torch.save({"w": torch.zeros(1)}, tmp_path / "t.safetensors")
    with pytest.raises(PruningError, match="damaged"):
        load_state(tmp_path / "t.safetensors")
    assert not (tmp_path / "trapped").exists()
    save_masks(state.masks, tmp_path / "m.safetensors")
    with pytest.raises(PruningError, match=r"m\.safetensors is not a state file"):
        load_state(tmp_path / "m.safetensors")
    with pytest.raises(PruningError, match="does not exist"):
        load_state(tmp_path / "none.safetensors")


def test_a_state_of_another_network_is_refused(state, make_task):
    with pytest.raises(PruningError, match="another network"):
        load_into(make_task("mlp").build(), state)


def test_metadata_is_readable_and_names_parents(state, tmp_path):
    parent = tmp_path / "parent"
    parent.write_text("x")
    path = tmp_path / "state.json"
    checkpoint.write_metadata(path, config={"a": 1}, parents={"final": parent}, step=5)
    data = json.loads(path.read_text())
    assert data["step"] == 5
    assert data["parents"]["final"]["sha256"] == files.sha256(parent)
    assert data["config_hash"] == files.digest({"a": 1}) != files.digest({"a": 2})
    assert data["versions"]["torch"] == torch.__version__
    assert "git_commit" in data


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, 1)

    class Failure(Exception):
        pass

    with pytest.raises(Failure), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise Failure
    assert json.loads(path.read_text()) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_paragraph_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(PruningError, match=r"disk is full.*x\.json"),
        files.atomic_path(tmp_path / "x.json") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_safetensors_on_a_full_disk_is_recognised(state, tmp_path, monkeypatch):
    """The writer's own error, as it comes from a device that is really full."""

    def onto_full_device(tensors, path, metadata):
        with open("/dev/full", "wb", buffering=0) as file:
            file.write(b"x")

    monkeypatch.setattr(checkpoint, "save_file", onto_full_device)
    with pytest.raises(PruningError, match="disk is full"):
        save_state(state, tmp_path / "s.safetensors")
    assert not list(tmp_path.iterdir())
