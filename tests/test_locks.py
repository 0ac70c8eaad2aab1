"""Locks between processes, and what killed ones leave behind."""

import errno
import os
import subprocess
import sys
import textwrap
import time

import pytest

from pruning import files, locks
from pruning.errors import PruningError
from pruning.locks import FileLock, try_lock
from pruning.running import gpu_slots
from pruning.running.gpu_slots import hold_gpus


@pytest.fixture
def holder():
    """Starts a process that has a lock, and then does as it is told."""
    started = []

    def hold(path, then="time.sleep(60)"):
        code = f"""
            import time
            from pruning.locks import FileLock
            lock = FileLock({str(path)!r})
            assert lock.acquire(0)
            print("held", flush=True)
            {then}
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_a_lock_says_who_has_it_and_goes_with_its_holder(tmp_path, holder):
    path = tmp_path / "new" / "lock"
    other, mine = holder(path), FileLock(path)
    assert not mine.acquire(patience=0.1, poll=0.05)
    assert not mine.held
    assert mine.holder().startswith(f"process {other.pid} on ")
    other.kill()
    assert mine.acquire(patience=10, poll=0.05)
    assert mine.held
    assert mine.holder().startswith(f"process {os.getpid()} on ")
    mine.release(remove=True)
    assert not path.exists()


def test_who_waits_gets_the_lock_when_its_file_is_removed(tmp_path, holder):
    """It then waits for a file that is no more, and must not take that for the lock."""
    path = tmp_path / "lock"
    other = holder(path, "time.sleep(0.5); lock.release(remove=True); time.sleep(60)")
    mine, third = FileLock(path), FileLock(path)
    assert mine.acquire(patience=10, poll=0.05)
    assert path.exists()
    assert other.poll() is None
    assert third.acquire(0)  # of the same process
    mine.release()
    with pytest.raises(AssertionError):
        holder(path)  # the third has it
    third.release()
    holder(path)


def test_a_lock_on_a_file_that_was_just_removed_is_none(tmp_path, monkeypatch):
    path, tries = tmp_path / "lock", []

    def just_removed(place):
        handle = try_lock(place)
        if not tries:
            path.unlink()  # as its last holder does, after it was opened here
        tries.append(handle)
        return handle

    monkeypatch.setattr(locks, "try_lock", just_removed)
    assert FileLock(path).acquire(patience=0)
    assert len(tries) == 2
    assert path.exists()


def test_without_locks_on_a_file_system_all_goes_on_and_is_said(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire(patience=0)
    assert not lock.held
    assert "No locks available" in caplog.text
    lock.release(remove=True)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_only_a_file_can_be_locked(tmp_path, kind):
    path, target = tmp_path / "lock", tmp_path / "target"
    {"link": lambda: path.symlink_to(target), "folder": path.mkdir,
     "pipe": lambda: os.mkfifo(path)}[kind]()  # fmt: skip
    with pytest.raises(OSError, match="lock"):
        try_lock(path)
    assert not target.exists()


def test_the_folder_of_gpu_slots_must_be_ours(tmp_path, monkeypatch):
    folder = tmp_path / "slots"

    def refused(match):
        with pytest.raises(PruningError, match=match) as told, hold_gpus(1, folder=folder):
            pass
        assert "TMPDIR" in str(told.value)

    folder.write_text("")
    refused(r"slots cannot be used .*File exists")
    folder.unlink()
    real = tmp_path / "real"
    real.mkdir()
    folder.symlink_to(real)
    refused(r"slots cannot be used .*a link")
    assert not list(real.iterdir())
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with hold_gpus(1, folder=folder):
        assert folder.stat().st_mode & 0o777 == 0o700
    (lock,) = folder.iterdir()
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.unlink()
    lock.symlink_to(tmp_path / "planted")
    refused("gpu0-slot0.lock cannot be used")
    assert not (tmp_path / "planted").exists()
    mine = os.getuid()
    monkeypatch.setattr(gpu_slots.os, "getuid", lambda: mine + 1)
    refused("belongs to another user")


def test_half_written_files_of_killed_writers_are_swept_and_others_are_not(tmp_path):
    def part(machine, pid, age=0, name="a.json"):
        path = tmp_path / f".{name}.{machine}-{pid}.part"
        path.write_text("{")
        os.utime(path, 2 * (time.time() - age,))
        return path

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = files._machine()
    swept = [part(here, ended.pid), part("elsewhere", 1, age=90_000), part("", 7, age=90_000)]
    kept = [part(here, os.getppid(), age=90_000), part("elsewhere", 1, name="a.json.b"),
            part("elsewhere", 2), part(here, ended.pid, name="b.json")]  # fmt: skip
    files.write_json(tmp_path / "a.json", 1)
    assert not [path for path in swept if path.exists()]
    assert all(path.exists() for path in kept)


def test_a_writer_that_is_interrupted_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.atomic_path(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
