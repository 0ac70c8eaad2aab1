"""Several processes that download a data set at once, from nothing."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

SIZE = 200_000

# Like torchvision's MNIST: what is there by name is taken for whole.
FAKE = f"""
    import sys, time
    from pathlib import Path
    from pruning.data.torchvision_sets import _open

    class Fake:
        def __init__(self, root, train, download):
            files = [Path(root, "Fake", "raw", name) for name in "ab"]
            if download:
                print("downloading", flush=True)
                files[0].parent.mkdir(parents=True, exist_ok=True)
                for file in files:
                    if Path(f"{{file}}.gz").exists():
                        file.write_bytes(Path(f"{{file}}.gz").read_bytes())
                        continue
                    with open(file, "wb", buffering=0) as written:
                        for _ in range(10):
                            written.write(b"x" * {SIZE // 10})
                            time.sleep(float(sys.argv[2]))
            if not all(file.exists() for file in files):
                raise RuntimeError("not found")
            self.data = b"".join(file.read_bytes() for file in files)

    found = _open(Fake, "fake", Path(sys.argv[1]), True)
    print(len(found.data), flush=True)
"""


@pytest.fixture
def start(tmp_path):
    path, started = tmp_path / "fake.py", []
    path.write_text(textwrap.dedent(FAKE))

    def run(root, pause):
        command = [sys.executable, path, root, str(pause)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_one_downloads_and_the_others_wait(start, tmp_path):
    root = tmp_path / "data"
    told = [process.communicate(timeout=60)[0] for process in [start(root, 0.03) for _ in range(4)]]
    assert sorted(told) == 3 * [f"{2 * SIZE}\n"] + [f"downloading\n{2 * SIZE}\n"]
    assert [path.name for path in root.iterdir()] == ["Fake"]


def test_a_killed_download_leaves_nothing_that_is_taken_for_whole(start, tmp_path):
    root = tmp_path / "data"
    killed = start(root, 0.1)
    assert killed.stdout.readline() == "downloading\n"
    time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (root / "Fake").exists()
    told, _ = start(root, 0).communicate(timeout=60)
    assert told == f"downloading\n{2 * SIZE}\n"
    assert [path.name for path in root.iterdir()] == ["Fake"]


def test_archives_that_are_there_are_unpacked(start, tmp_path):
    raw = tmp_path / "Fake" / "raw"
    raw.mkdir(parents=True)
    for name in "ab":
        (raw / f"{name}.gz").write_bytes(name.encode())
    told, _ = start(tmp_path, 60).communicate(timeout=60)
    assert told == "downloading\n2\n"
    assert (raw / "b").read_bytes() == b"b"
