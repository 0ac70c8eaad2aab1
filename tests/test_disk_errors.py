"""Disks that are full, read-only or broken; logs and resume files that cannot be written."""

import errno
import logging
import os
import resource
from types import SimpleNamespace

import pytest
import torch

from pruning import files
from pruning.errors import PruningError
from pruning.running import jobs
from pruning.running.job_log import job_log
from pruning.stages.outputs import resume_file
from pruning.study.places import read_repairs
from pruning.training import resume as resuming
from pruning.training.checkpoint import save_masks, save_state
from pruning.training.dense import train_dense
from pruning.training.resume import Progress, ResumeFile
from pruning.training.state import State, capture
from tests.conftest import assert_same_state

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full on this system")
TOLD = {
    errno.ENOSPC: "disk is full",
    errno.EDQUOT: "quota is used up",
    errno.EROFS: "read-only",
    errno.EIO: "input/output error",
    errno.EFBIG: "too large",
    errno.ENAMETOOLONG: "name is too long",
    errno.ESTALE: "network drive",
    errno.EACCES: "Check the folder's permissions",
    errno.EPERM: "Check the folder's permissions",
    errno.ENOTDIR: "Check the folder's permissions",
}


@pytest.mark.parametrize("number", TOLD, ids=errno.errorcode.get)
def test_an_error_of_the_disk_is_one_paragraph_and_leaves_nothing(number, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "x.json"
    for call in ("replace", "fsync"):
        with monkeypatch.context() as broken:
            broken.setattr(os, call, fail)
            with pytest.raises(PruningError, match=TOLD[number]) as refused:
                files.write_text(path, "x")
        assert str(path) in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not list(tmp_path.iterdir())
    with pytest.raises(PruningError, match=TOLD[number]), files.atomic_path(path):
        # As safetensors says it, of a type of its own.
        raise RuntimeError(f"Error while serializing: I/O error: ... (os error {number})")


def test_other_errors_are_left_as_they_are(tmp_path):
    for error in (ValueError("os error"), OSError(errno.EMFILE, "x"), KeyError("x")):
        with pytest.raises(type(error)), files.atomic_path(tmp_path / "x"):
            raise error
    with pytest.raises(PruningError, match="mine"), files.atomic_path(tmp_path / "x"):
        raise PruningError("mine (os error 28)")
    with pytest.raises(KeyboardInterrupt), files.atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_limit_on_the_size_of_files_is_said_of_every_kind(tmp_path):
    state = State({"w": torch.zeros(4000)}, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        for write in (
            lambda path: save_state(state, path),
            lambda path: save_masks({"w": torch.ones(8000) > 0}, path),
            lambda path: files.write_json(path, {"a": "x" * 9000}),
        ):
            with pytest.raises(PruningError, match=r"too large: .*results-file could not"):
                write(tmp_path / "results-file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_names(tmp_path):
    long = tmp_path / ("n" * 250)  # fits, though nothing can be added to it
    files.write_text(long, "x")
    assert long.read_text() == "x"
    with pytest.raises(PruningError, match="name is too long"):
        files.write_text(tmp_path / ("n" * 300), "x")
    with pytest.raises(PruningError, match="name is too long"):
        files.make_folder(tmp_path / ("n" * 300) / "a")
    (tmp_path / "file").write_text("")
    with pytest.raises(PruningError, match="cannot be written"):
        files.write_text(tmp_path / "file" / "x", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PruningError, match="cannot be written"):
        files.write_text(tmp_path / "folder", "x")


# -- logs -----------------------------------------------------------------------------------------


def do(path):
    log = logging.getLogger("pruning")
    for line in range(3):
        log.info("line %d", line)
    files.write_text(path, "done")


def fail(path):
    logging.getLogger("pruning").info("before")
    raise PruningError("it went wrong")


def unwritable(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "full.log").symlink_to(FULL)
    return [tmp_path / "folder", tmp_path / "file/x.log", tmp_path / "full.log"]


@needs_full
def test_a_log_that_cannot_be_written_fails_no_job(tmp_path, capsys):
    for log in unwritable(tmp_path):
        with jobs.job(log):
            do(tmp_path / "output")
        told = capsys.readouterr().err
        assert (tmp_path / "output").read_text() == "done"
        assert told.count("cannot be written") == 1
        assert str(log) in told
        for line in range(3):
            assert told.count(f"line {line}") == 1
        assert "Traceback" not in told
        assert "Logging error" not in told


@needs_full
def test_a_log_that_cannot_be_written_hides_nothing(tmp_path, capsys):
    for log in unwritable(tmp_path):
        with pytest.raises(SystemExit), jobs.job(log):
            fail(None)
        told = capsys.readouterr().err
        assert "before" in told
        assert "Error: it went wrong" in told
        assert "Traceback" not in told
        with pytest.raises(ZeroDivisionError), jobs.job(log):
            raise ZeroDivisionError
        assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_mistake_in_a_message_is_still_seen(tmp_path, capsys):
    log = job_log(tmp_path / "x.log")
    log.handle(logging.LogRecord("pruning", 20, __file__, 1, "%d", ("no number",), None))
    log.close()
    assert "Logging error" in capsys.readouterr().err


# -- resume files ---------------------------------------------------------------------------------


@pytest.fixture
def progress(make_task):
    state = capture(make_task("mlp").build(0))
    return Progress(state, 3, [{"epoch": 1.0}], {2: state}, 1.5, {"x": torch.ones(2)}, [0.5])


def kept(folder):
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in found if path.name != resuming.LOCK)


@pytest.mark.parametrize("failing", ["save_state", "save_tensors", "write_json"])
def test_progress_that_does_not_fit_costs_the_resume_and_is_said_once(
    failing, make_task, tmp_path, monkeypatch, caplog
):
    task = make_task("mlp", epochs=3, milestones=())
    whole = train_dense(task, 0)

    def full(*arguments):
        raise PruningError("The disk is full")

    monkeypatch.setattr(resuming, failing, full)
    with caplog.at_level(logging.WARNING, "pruning"):
        trained = train_dense(task, 0, resume=ResumeFile(tmp_path / "r", "f", budget=1e9))
    assert_same_state(trained.final, whole.final)
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "No progress is kept, the training goes on: The disk is full"
    ]
    assert not kept(tmp_path / "r")


def test_after_a_save_that_failed_the_last_progress_is_whole(progress, tmp_path, monkeypatch):
    resume = ResumeFile(tmp_path / "r", "f", budget=1e9)
    resume.offer(lambda: progress)
    before = kept(resume.folder)
    with monkeypatch.context() as broken:
        broken.setattr(resuming, "save_tensors", lambda *a: files.write_text(tmp_path, "x"))
        resume.offer(lambda: Progress(progress.state, 5, snapshots={4: progress.state}))
    assert kept(resume.folder) == before
    assert ResumeFile(tmp_path / "r", "f").load().done == 3
    resume.offer(lambda: Progress(progress.state, 5))
    assert ResumeFile(tmp_path / "r", "f").load().done == 5


def test_any_damage_of_a_resume_folder_costs_the_resume_alone(progress, tmp_path):
    folder = tmp_path / "r"
    other = State({"w": torch.zeros(2)}, {})
    spoil = {
        "gone": lambda path: path.unlink(),
        "folder": lambda path: (path.unlink(), path.mkdir()),
        "link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
        "empty": lambda path: path.write_bytes(b""),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
        "byte": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"\7" * 9),
        "null": lambda path: path.write_text("null"),
        "no text": lambda path: path.write_bytes(b"\xff" * 50),
        "another state": lambda path: save_state(other, path),
        "values": lambda path: files.write_json(path, {"fingerprint": "f", "done": "3"}),
        "names": lambda path: files.write_json(
            path,
            {"fingerprint": "f", "done": 3, "files": {}, "snapshots": ["../x", None],
             "metrics": [], "seconds": 1, "epoch_seconds": []},
        ),
    }  # fmt: skip
    ResumeFile(folder, "f").save(progress)
    for name in kept(folder):
        for damage in spoil.values():
            ResumeFile(folder, "f").save(progress)
            damage(folder / name)
            assert ResumeFile(folder, "f").load() is None
            assert not kept(folder)
    ResumeFile(folder, "f").save(progress)
    state = "state-3.safetensors"
    (folder / "snapshot-2.safetensors").write_bytes((folder / state).read_bytes())
    assert ResumeFile(folder, "f").load().done == 3  # the same bytes
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("a file")
    assert ResumeFile(folder, "f").load() is None
    assert not folder.is_file()


def test_an_input_that_is_missing_is_named_before_anything_else(tmp_path):
    with pytest.raises(PruningError, match=r"mask\.safetensors does not exist"):
        resume_file(tmp_path / "out", {}, {"mask": tmp_path / "mask.safetensors"})
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(PruningError, match="link to a file that does not exist"):
        resume_file(tmp_path / "out", {}, {"mask": tmp_path / "link"})
    with pytest.raises(PruningError, match="is a folder"):
        resume_file(tmp_path / "out", {}, {"mask": tmp_path})


def test_a_count_of_repairs_is_written_for_long_names_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    product = f"plots/{'n' * 230}/rewind_vs_finetune.pdf"
    snakemake = SimpleNamespace(log=["x.log"], output=[product])
    jobs.run(snakemake, "pruning.files:write_text", path="a", text="", repairs=2)
    assert read_repairs(product) == 2
