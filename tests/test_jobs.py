"""Jobs: messages, GPU slots, warm processes."""

import ast
import contextlib
import inspect
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pruning.errors import PruningError
from pruning.locks import try_lock
from pruning.registry import load
from pruning.running import jobs, owner
from pruning.running import warm as warm_module
from pruning.running.gpu_slots import hold_gpus
from pruning.running.jobs import devices, job
from pruning.study import places as layout

SCRIPTS = sorted(Path(__file__).parents[1].glob("workflow/scripts/*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_one_call_with_arguments_that_its_stage_takes(script):
    *imports, statement = ast.parse(script.read_text()).body
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    call = statement.value
    helper = inspect.signature(getattr(jobs, call.func.id)).parameters
    stage = inspect.signature(load(call.args[1].value)).parameters
    given = {keyword.arg for keyword in call.keywords if keyword.arg} - helper.keys()
    spread = any(keyword.arg is None for keyword in call.keywords)
    needed = {name for name, argument in stage.items() if argument.default is argument.empty}
    assert given <= stage.keys()
    assert spread or needed - {"context"} <= given


def test_repairs_are_written_down_when_the_product_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    snakemake = SimpleNamespace(log=["a.log"], output=["plots/a.csv"])
    with pytest.raises(SystemExit):
        jobs.run(snakemake, "pruning.files:read_json", path="missing.json", repairs=3)
    assert layout.read_repairs("plots/a.csv") == 0
    jobs.run(snakemake, "pruning.files:write_text", path="a.csv", text="", repairs=3)
    assert layout.read_repairs("plots/a.csv") == 3
    assert "missing.json" in Path("a.log").read_text()


def test_the_users_mistakes_have_no_traceback_and_defects_keep_theirs(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop, job(tmp_path / "a.log"):
        raise PruningError("Mend this.")
    assert stop.value.code == 1
    assert "Mend this." in capsys.readouterr().err
    text = (tmp_path / "a.log").read_text()
    assert "Mend this." in text
    assert "Traceback" not in text
    with pytest.raises(ZeroDivisionError), job(tmp_path / "b.log"):
        1 / 0  # noqa: B018
    assert "Traceback" in (tmp_path / "b.log").read_text()


def test_ctrl_c_is_one_line_in_the_log(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop, job(tmp_path / "a.log"):
        raise KeyboardInterrupt
    assert stop.value.code == 130
    (line,) = (tmp_path / "a.log").read_text().splitlines()
    assert line.endswith(" interrupted")
    assert capsys.readouterr().err == ""


OWNED = """
    import os, time
    from pruning.running import owner
    print(os.getpid(), flush=True)
    owner.end_with_it(poll=0.05)
    time.sleep(60)
"""
STARTS = """
    import subprocess, sys, time
    from pruning.running import owner
    owner.announce()
    subprocess.run(["bash", "-c", f"{sys.executable} {sys.argv[1]}; true"])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_ends_with_snakemake_though_a_shell_lives_on_between_them(tmp_path, number):
    for name, text in (("owned.py", OWNED), ("starts.py", STARTS)):
        (tmp_path / name).write_text(textwrap.dedent(text))
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "starts.py", tmp_path / "owned.py"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    child = int(parent.stdout.readline())
    time.sleep(0.3)
    os.kill(child, 0)  # it does not end without a reason
    parent.send_signal(number)
    _, err = parent.communicate(timeout=10)  # which waits for the child, who has the other end
    assert err == f"{owner.GONE}\n"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_script_that_finds_no_warm_process_and_no_owner_does_not_start_cold(
    tmp_path, monkeypatch
):
    path = tmp_path / "x.py"
    path.write_text("from pruning.running.warm import hand_over\nhand_over()\nprint('here')\n")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setenv(warm_module.ADDRESS, str(tmp_path / "nobody"))
    monkeypatch.setenv(owner.OWNER, "")
    owner.announce()

    def script():
        return subprocess.run([sys.executable, path], capture_output=True, text=True)

    assert script().stdout == "here\n"
    _, born, *here = os.environ[owner.OWNER].split()
    monkeypatch.setenv(owner.OWNER, " ".join([str(dead.pid), born, *here]))
    run = script()
    assert (run.returncode, run.stdout, run.stderr) == (1, "", f"{owner.GONE}\n")


def test_an_owner_is_one_process_on_one_machine(monkeypatch):
    def gone(told):
        monkeypatch.setenv(owner.OWNER, told)
        return owner.is_gone()

    monkeypatch.setenv(owner.OWNER, "")
    owner.announce()
    pid, born, boot, seen = os.environ[owner.OWNER].split()
    assert not owner.is_gone()
    assert gone(f"{pid} {int(born) + 1} {boot} {seen}")  # its number has gone to another
    assert not gone(f"{2**22 + 1} 1 other {seen}")  # nobody can tell
    assert not gone(f"{2**22 + 1} 1 {boot} other")
    assert gone(f"{2**22 + 1} 1 {boot} {seen}")
    monkeypatch.setattr(owner, "_here", lambda: ["-", "-"])  # no /proc
    assert gone(f"{2**22 + 1} - - -")
    assert not gone(f"{pid} - - -")
    monkeypatch.delenv(owner.OWNER)
    assert not owner.is_gone()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while owner._born(ended.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert owner._born(ended.pid) is None  # ended, and its parent has not looked
    ended.wait()


def test_slots_spread_over_gpus_first_and_are_given_back(tmp_path):
    taken = []
    with hold_gpus(2, 2, folder=tmp_path) as a, hold_gpus(2, 2, folder=tmp_path) as b:
        with hold_gpus(2, 2, folder=tmp_path) as c, hold_gpus(2, 2, folder=tmp_path) as d:
            taken = [a, b, c, d]
        with hold_gpus(2, 2, folder=tmp_path) as again:
            assert again == (0,)
    assert taken == [(0,), (1,), (0,), (1,)]
    with pytest.raises(PruningError), hold_gpus(0, folder=tmp_path):
        pass


def test_slots_are_of_physical_gpus(tmp_path):
    with hold_gpus(1, 1, "3", tmp_path) as first, hold_gpus(1, 1, "5", tmp_path) as second:
        assert first == second == (0,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gpu3-slot0.lock", "gpu5-slot0.lock"]


def test_a_job_waits_for_a_slot_and_gets_it_when_the_holder_is_killed(tmp_path):
    hold = f"""
        import time
        from pathlib import Path
        from pruning.running.gpu_slots import hold_gpus
        with hold_gpus(1, 1, folder=Path({str(tmp_path)!r})):
            print("held", flush=True)
            time.sleep(60)
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(hold)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    waiter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(hold)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert not select.select([waiter.stdout], [], [], 1.5)[0]
        holder.kill()
        assert waiter.stdout.readline() == "held\n"
    finally:
        holder.kill()
        waiter.kill()
        holder.wait()
        waiter.wait()


def test_devices(monkeypatch, tmp_path):
    import torch

    from pruning.running import gpu_slots

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with devices("auto") as (name,):
        assert name == "cpu"
    with pytest.raises(PruningError, match="torch sees no GPU"), devices("cuda"):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(gpu_slots, "default_folder", lambda: tmp_path)
    with devices("auto") as (first,), devices("cuda") as (second,):
        assert (first, second) == ("cuda:0", "cuda:1")
    with devices("auto", environment={"PRUNING_JOBS_PER_GPU": "2"}) as (name,):
        assert name == "cuda:0"


def test_jobs_of_slurm_on_one_node_do_not_wait_for_each_others_gpus(monkeypatch, tmp_path):
    import torch

    from pruning.running import gpu_slots

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(gpu_slots, "default_folder", lambda: tmp_path)
    # Hidden from each other, so each counts from 0; of the node they are 2 and 3.
    first, second = ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_STEP_GPUS": n} for n in "23")
    with devices("cuda", 1, first) as (a,), devices("cuda", 1, second) as (b,):
        assert (a, b) == ("cuda:0", "cuda:0")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gpu2-slot0.lock", "gpu3-slot0.lock"]
    # Without a step the job's; a list of another length is not of what this process sees.
    job = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_STEP_GPUS": "5,6", "SLURM_JOB_GPUS": "4"}
    with devices("cuda", 1, job):
        assert (tmp_path / "gpu4-slot0.lock").exists()


def test_several_slots_are_of_different_gpus_and_held_all_or_none(tmp_path):
    """Two jobs of two GPUs on three slots: with one each, both would wait forever."""
    order, both = [], threading.Barrier(2)

    def work(name):
        both.wait()
        with hold_gpus(3, 1, folder=tmp_path, poll=0.02, wanted=2) as mine:
            order.append((name, mine))
            time.sleep(0.1)
            order.append((name, mine))

    jobs = [threading.Thread(target=work, args=(name,), daemon=True) for name in "ab"]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join(20)
    assert len(order) == 4
    assert order[::2] == order[1::2]  # one after the other
    assert all(len({*mine}) == 2 for _, mine in order)
    with (
        hold_gpus(2, 2, folder=tmp_path / "x", wanted=2) as a,
        hold_gpus(2, 2, folder=tmp_path / "x", wanted=2) as b,
    ):
        assert a == b == (0, 1)  # and not two slots of one
    with pytest.raises(PruningError), hold_gpus(2, 4, folder=tmp_path, wanted=3):
        pass


def test_as_many_gpus_as_processes(monkeypatch, tmp_path):
    import torch

    from pruning.running import gpu_slots

    monkeypatch.setattr(gpu_slots, "default_folder", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with devices("cuda", 2) as names:
        assert names == ("cuda:0", "cuda:1")
    with pytest.raises(PruningError, match="processes: 4 .* sees 3"), devices("auto", 4):
        pass
    with devices("cpu", 4) as names:
        assert names == ("cpu",) * 4


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A warm process, its address in the environment of what `run` starts."""
    folder = tmp_path_factory.mktemp("warm")
    starter = subprocess.Popen(
        [sys.executable, "-c", "from pruning.running import warm; warm.start(); "
         "import os, sys; print(os.environ[warm.ADDRESS], flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    address = starter.stdout.readline().strip()
    deadline = time.monotonic() + 60
    while not os.path.exists(address) and time.monotonic() < deadline:
        time.sleep(0.05)

    def script(text):
        path = folder / f"script{time.monotonic_ns()}.py"
        path.write_text(
            "from pruning.running.warm import hand_over\nhand_over()\n" + textwrap.dedent(text)
        )
        environment = os.environ | {"PRUNING_WARM": address, "MARK": "yes"}
        return subprocess.Popen(
            [sys.executable, path, "argument"],
            env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    yield script, folder, address
    starter.stdin.close()
    starter.wait()
    deadline = time.monotonic() + 10
    while os.path.exists(address) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(address), "the warm process outlives the one that started it"


def test_a_warm_child_runs_the_same_script_in_the_same_place(warm):
    script, folder, _ = warm
    job = script("""
        import os, sys
        assert "torch" in sys.modules and os.environ["PRUNING_WARM_CHILD"]
        print(os.getcwd(), sys.argv[1:], os.environ["MARK"], os.getppid())
        print("problem", file=sys.stderr)
        sys.exit(3)
    """)
    out, err = job.communicate(timeout=60)
    assert out.split()[:3] == [str(folder), "['argument']", "yes"]
    assert out.split()[3] != str(os.getpid())
    assert err == "problem\n"
    assert job.returncode == 3


def test_success_exceptions_and_death_reach_the_script(warm):
    script, _, _ = warm
    done = script("print('fine')")
    assert done.communicate(timeout=60)[0] == "fine\n"
    assert done.returncode == 0
    failed = script("1 / 0")
    assert "ZeroDivisionError" in failed.communicate(timeout=60)[1]
    assert failed.returncode == 1
    killed = script("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_dies_with_its_script(warm, number):
    script, _, _ = warm
    job = script("""
        import os, time
        print(os.getpid(), flush=True)
        time.sleep(60)
    """)
    child = int(job.stdout.readline())
    os.kill(job.pid, number)
    job.wait(timeout=10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the child goes on without its script")


def test_ctrl_c_in_a_warm_child_is_one_line_in_its_log(warm):
    script, folder, _ = warm
    job = script("""
        import os, time
        from pruning.running.jobs import job
        with job("interrupted.log"):
            print(os.getpid(), flush=True)
            time.sleep(60)
    """)
    child = int(job.stdout.readline())
    for pid in (job.pid, child):  # as a terminal does
        os.kill(pid, signal.SIGINT)
    out, err = job.communicate(timeout=10)
    assert (job.returncode, out, err) == (130, "", "")
    (line,) = (folder / "interrupted.log").read_text().splitlines()
    assert line.endswith(" interrupted")


def test_a_warm_process_serves_its_user_alone(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    assert warm_module._caller(ours) == os.getuid()
    monkeypatch.setattr(warm_module, "_caller", lambda _: os.getuid() + 1)
    monkeypatch.setattr(warm_module.os, "fork", lambda: pytest.fail("it would run the script"))
    socket.send_fds(theirs, [f"{2:16d}".encode()], [0, 1, 2])
    theirs.sendall(b"{}")
    children = {}
    warm_module._accept(SimpleNamespace(accept=lambda: (ours, "")), children)
    assert not children
    with contextlib.suppress(ConnectionResetError):  # what it sent was not read
        assert theirs.recv(1) == b""
    theirs.close()


def test_folders_of_warm_processes_that_were_killed_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def folder(name, lock=True, age=0):
        path = tmp_path / name
        path.mkdir()
        (path / "socket").touch()
        if lock:
            (path / "lock").touch()
        os.utime(path, 2 * (time.time() - age,))
        return path

    swept = [folder("pruning-warm-a"), folder("pruning-warm-b", lock=False, age=4000)]
    kept = [folder("pruning-warm-c"), folder("pruning-warm-d", lock=False), folder("other")]
    link = tmp_path / "pruning-warm-e"
    link.symlink_to(kept[2])
    held = try_lock(kept[0] / "lock")
    old = folder("pruning-warm-f", lock=False, age=4000)
    (old / "socket").unlink()
    with socket.socket(socket.AF_UNIX) as listener:  # of before there were locks, and it answers
        listener.bind(str(old / "socket"))
        listener.listen()
        os.utime(old, 2 * (time.time() - 4000,))
        warm_module.sweep()
    os.close(held)
    assert not [path for path in swept if path.exists()]
    assert [path for path in [*kept, link, old] if not path.exists()] == []


def test_a_request_that_breaks_off_does_not_hold_up_the_next(warm):
    script, _, address = warm
    with socket.socket(socket.AF_UNIX) as broken:
        broken.connect(address)
        socket.send_fds(broken, [f"{500:16d}".encode()], [0, 1, 2])
        broken.sendall(b"half")
    done = script("print('fine')")
    assert done.communicate(timeout=30)[0] == "fine\n"


def test_scripts_and_children_end_with_a_warm_process_that_is_killed(tmp_path):
    code = "from pruning.running import warm; warm.start(); import os, sys; "
    code += "print(os.environ[warm.ADDRESS], flush=True); sys.stdin.read()"
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = starter.stdout.readline().strip()
    while not os.path.exists(address):
        time.sleep(0.05)
    path = tmp_path / "x.py"
    path.write_text(
        "from pruning.running.warm import hand_over\nhand_over()\nimport os, time\n"
        "print(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n"
    )
    job = subprocess.Popen(
        [sys.executable, path], env=os.environ | {"PRUNING_WARM": address},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    child, server = map(int, job.stdout.readline().split())
    os.kill(server, signal.SIGKILL)
    assert job.wait(timeout=10) == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and os.path.exists(f"/proc/{child}"):
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{child}")
    starter.stdin.close()
    starter.wait()


def test_a_temporary_folder_with_a_long_name_means_a_cold_start(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.delenv(warm_module.ADDRESS, raising=False)
    warm_module.start()
    assert warm_module.ADDRESS not in os.environ
    assert not list(long.iterdir())


def test_without_a_warm_process_a_script_just_runs(warm, tmp_path):
    path = tmp_path / "x.py"
    path.write_text("from pruning.running.warm import hand_over\nhand_over()\nprint('here')\n")
    for address in ("", str(tmp_path / "nobody")):
        run = subprocess.run(
            [sys.executable, path], env=os.environ | {"PRUNING_WARM": address},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout == "here\n"
