"""What data sets were prepared from, and when they are prepared again."""

import json
import logging
import os
import shutil
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import pruning
from pruning import cli
from pruning.data import prepare as preparing
from pruning.data import sources, store
from pruning.data.splits import load
from pruning.errors import PruningError
from pruning.stages.prepare_data import prepare_data
from pruning.study.asks import Workflow
from tests.conftest import REPOSITORY, SCHEMAS
from tests.test_image_trees import TEST, WHOLE, make, make_folder, png, tar


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """A data folder, and a cache of prepared data sets."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PRUNING_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def preparations(monkeypatch):
    """Names of the data sets that were decoded, as often as they were."""
    seen = []
    plain = preparing.prepare

    def counted(name, *arguments):
        seen.append(name)
        return plain(name, *arguments)

    monkeypatch.setattr(preparing, "prepare", counted)
    return seen


def levels(data):
    return sorted(data.train.images[:, 0, 0, 0].tolist())


def pets(**options):
    return levels(pruning.load_data("image_folder", path="pets", **options))


def lighter(files, by=100):
    return {path: level + by for path, level in files.items()}


def test_another_root_is_another_data_set(tmp_path, monkeypatch):
    make_folder(tmp_path / "one" / "pets", WHOLE)
    make_folder(tmp_path / "two" / "pets", lighter(WHOLE))
    assert pets(root="one") == [10, 20, 30]
    assert pets(root="two") == [110, 120, 130]
    assert pets(root=tmp_path / "one") == [10, 20, 30]
    assert levels(pruning.load_data("image_folder", path=tmp_path / "two/pets"))[0] == 110
    monkeypatch.setenv("PRUNING_DATA", "two")
    assert pets() == [110, 120, 130]
    shutil.rmtree("one/pets")
    (tmp_path / "one" / "pets").symlink_to(tmp_path / "two" / "pets")
    assert pets(root="one") == [110, 120, 130]


def test_edited_added_and_removed_images_are_seen_and_touched_ones_are_not_read(
    tmp_path, preparations
):
    make_folder(tmp_path / "pets", WHOLE)
    image = tmp_path / "pets/train/a/1.png"
    assert pets() == pets() == [10, 20, 30]
    assert len(preparations) == 1
    old = image.stat()
    image.write_bytes(png(11))  # of the same length
    os.utime(image, ns=(old.st_atime_ns, old.st_mtime_ns))  # as some programs copy
    assert pets() == [11, 20, 30]
    (tmp_path / "pets/train/a/3.png").write_bytes(png(40))
    assert pets() == [11, 20, 30, 40]
    (tmp_path / "pets/train/a/2.png").unlink()
    assert pets() == [11, 30, 40]
    image.rename(tmp_path / "pets/train/b/9.png")
    assert pets() == [11, 30, 40]
    assert len(preparations) == 5
    for file in (tmp_path / "pets").rglob("*.png"):
        os.utime(file)
    (tmp_path / "pets/train/a/.DS_Store").write_bytes(b"x")
    (tmp_path / "pets/notes.txt").write_bytes(b"x")
    assert pets() == [11, 30, 40]
    assert len(preparations) == 5
    assert pets(refresh=True) == [11, 30, 40]
    assert len(preparations) == 6


def test_another_archive_is_seen_and_what_it_was_stays_when_it_is_gone(tmp_path, preparations):
    tar(tmp_path, *WHOLE.items(), name="pets")
    assert pets() == [10, 20, 30]
    tar(tmp_path, *lighter(WHOLE).items(), name="pets")
    assert pets() == [110, 120, 130]
    (tmp_path / "pets").rename(tmp_path / "away")
    assert pets() == [110, 120, 130]
    (tmp_path / "pets").mkdir()  # a drive that is not mounted
    assert pets() == [110, 120, 130]
    assert len(preparations) == 2
    with pytest.raises(PruningError, match="pets must hold the same class folders"):
        pets(refresh=True)
    assert pets() == [110, 120, 130]


def test_images_that_were_not_yet_looked_at_do_not_become_others(tmp_path):
    make_folder(tmp_path / "pets", WHOLE)
    first = pruning.load_data("image_folder", path="pets")
    make_folder(tmp_path / "pets", lighter(WHOLE))
    second = pruning.load_data("image_folder", path="pets")
    assert second.mean != first.mean
    with pytest.raises(PruningError, match=r"safetensors was made anew.*Load it again"):
        _ = first.train.images
    assert levels(second) == [110, 120, 130]


def test_a_changed_reader_prepares_again(tmp_path, preparations, monkeypatch):
    make_folder(tmp_path / "pets", WHOLE)
    pets()
    pets(grey=True)
    monkeypatch.setattr("pruning.library.code_version", lambda *_: "another")
    pets()
    pets()
    assert len(preparations) == 3


def write_mnist(root, level):
    """The four files of MNIST as they are unpacked, with few images."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 6), ("t10k", 4)):
        pixels = np.full((count, 28, 28), level, np.uint8)
        pixels[:, 0] = 0
        header = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{split}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(labels)


def test_kinds_of_torchvision_go_by_the_files_they_read(tmp_path, preparations):
    def brightest(root):
        return int(pruning.load_data("mnist", root=root).train.images.max())

    for root, level in (("one", 100), ("two", 200)):
        write_mnist(tmp_path / root, level)
        assert brightest(root) == level
    assert brightest("one") == 100
    write_mnist(tmp_path / "one", 50)
    assert brightest("one") == 50
    (tmp_path / "one/MNIST/raw/notes").write_text("")
    assert brightest("one") == 50
    shutil.rmtree(tmp_path / "one")
    assert brightest("one") == 50
    assert len(preparations) == 3


def test_kinds_of_ones_own_go_by_what_their_path_names(tmp_path, preparations):
    (tmp_path / "mine.py").write_text(
        "import dataclasses, pathlib\n"
        "from pruning.data.digits import digits\n"
        "def mine(name, root, path='', times=1):\n"
        "    data = digits(name, root)\n"
        "    factor = int(pathlib.Path(root, path, 'factor').read_text()) if path else times\n"
        "    return dataclasses.replace(data, train_images=data.train_images // factor)\n"
    )
    make_folder(tmp_path / "x", {"factor": b"3"})

    def brightest(**options):
        return int(pruning.load_data("mine.py:mine", **options).train.images.max())

    assert brightest(path="x") == 85
    (tmp_path / "x" / "factor").write_text("5")
    assert brightest(path="x") == 51
    assert brightest() == brightest() == 255
    assert len(preparations) == 3


@pytest.fixture
def plan(tmp_path):
    """What Snakemake would be told of the data set each time it starts, and a run of its job."""
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    config["study_folder"] = str(REPOSITORY / "config" / "studies")
    config["datasets"] |= {"pets": {"kind": "image_folder", "path": "pets"}}
    done = {}

    class Plan:
        def params(self, name="pets"):
            return Workflow(config, SCHEMAS).data_params(SimpleNamespace(dataset=name))

        def reruns(self, name="pets"):
            return self.params(name) != done.get(name)

        def run(self, name="pets"):
            done[name] = self.params(name)
            prepared = tmp_path / "results" / "data" / f"{name}.safetensors"
            prepared.unlink(missing_ok=True)  # as Snakemake does
            prepare_data(
                name,
                done[name]["options"],
                os.environ["PRUNING_DATA"],
                prepared,
                self.params(name)["source_changes"],  # a job on a cluster asks for itself
            )
            return prepared

    return Plan()


def test_the_workflow_prepares_again_what_changed_and_nothing_else(tmp_path, plan, monkeypatch):
    make_folder(tmp_path / "data" / "pets", WHOLE)
    monkeypatch.setenv("PRUNING_DATA", "data")
    first = plan.run().read_bytes()
    assert plan.params()["source_changes"] == 0
    assert not plan.reruns()
    for file in (tmp_path / "data").rglob("*.png"):
        os.utime(file)
    assert not plan.reruns()
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    monkeypatch.setenv("PRUNING_DATA", "copy")
    assert not plan.reruns()
    monkeypatch.setenv("PRUNING_DATA", "nowhere")
    assert not plan.reruns()
    make_folder(tmp_path / "other" / "pets", lighter(WHOLE))
    monkeypatch.setenv("PRUNING_DATA", "other")
    assert plan.reruns()
    second = plan.run()
    assert second.read_bytes() != first
    assert not plan.reruns()
    assert plan.params()["source_changes"] == 1
    shutil.rmtree(tmp_path / "other")
    assert not plan.reruns()
    monkeypatch.setenv("PRUNING_DATA", "data")
    assert plan.reruns()
    assert plan.run().read_bytes() == first  # wherever and whenever it is prepared
    assert not plan.reruns()


def test_a_data_set_prepared_by_hand_goes_by_its_files_too(tmp_path, plan, capsys):
    make_folder(tmp_path / "pets", WHOLE)
    config = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    config |= {"study_folder": str(REPOSITORY / "config" / "studies")}
    config["datasets"] |= {"pets": {"kind": "image_folder", "path": "pets"}}
    (tmp_path / "workflow").symlink_to(REPOSITORY / "workflow")
    make_folder(tmp_path / "config", {"config.yaml": yaml.safe_dump(config).encode()})
    plan.run()
    for level in (10, 12):
        (tmp_path / "pets/train/a/1.png").write_bytes(png(level))
        cli.main(["prepare", "pets"])
        file = capsys.readouterr().out.strip()
        assert levels(load(file)) == [level, 20, 30]
        assert plan.reruns() == (level == 12)  # what was trained on the former images is not done


def test_what_fails_is_tried_again_and_then_done(tmp_path, plan):
    make_folder(tmp_path / "pets", WHOLE)
    plan.run()
    image = tmp_path / "pets/train/a/1.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:30])
    assert plan.reruns()
    with pytest.raises(PruningError, match=r"train/a/1\.png is not a readable image"):
        plan.run()
    image.write_bytes(png(12))
    plan.run()
    assert not plan.reruns()
    assert plan.params()["source_changes"] == 1


def test_a_lost_note_costs_reading_the_files_and_no_more(tmp_path, plan):
    make_folder(tmp_path / "pets", WHOLE)
    prepared = plan.run()
    note = sources.note_file(prepared)
    for damage in (note.unlink, lambda: note.write_text("{"), lambda: note.write_text("[]")):
        damage()
        assert not plan.reruns()
        assert json.loads(note.read_text())["location"] == str(tmp_path / "pets")
    note.unlink()
    (tmp_path / "pets/train/a/1.png").write_bytes(png(12))
    assert plan.reruns()


def test_downloading_is_no_change(tmp_path, plan, monkeypatch):
    import torchvision

    def download(self):
        write_mnist(tmp_path, 90)

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    plan.run("mnist")
    assert not plan.reruns("mnist")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    assert plan.reruns("mnist")
    plan.run("mnist")  # downloads what is missing
    assert not plan.reruns("mnist")
    shutil.rmtree(tmp_path / "MNIST")
    assert not plan.reruns("mnist")


def test_files_that_change_while_they_are_read_are_read_again(tmp_path, monkeypatch):
    make_folder(tmp_path / "pets", WHOLE)
    plain, edits = preparing.prepare, [21, 22, 23]

    def edited(*arguments):
        data = plain(*arguments)
        if edits:
            (tmp_path / "pets/train/a/2.png").write_bytes(png(edits.pop(0)))
        return data

    monkeypatch.setattr(preparing, "prepare", edited)
    with pytest.raises(PruningError, match="changed while they were read"):
        pets()
    assert pets() == [10, 23, 30]


def test_prepared_files_and_summaries_say_what_they_were_made_from(tmp_path, caplog):
    make_folder(tmp_path / "pets", {**WHOLE, "train/a/3.jfif": b"x", "train/.x": b"", "val": b""})
    with caplog.at_level(logging.INFO, logger="pruning"):
        prepare_data("pets", {"kind": "image_folder", "path": "pets"}, tmp_path, "pets.safetensors")
    assert (
        "Data set 'pets': left out: 1 *.jfif, 1 beside train/ and test/, 1 hidden." in caplog.text
    )
    assert f"5 files in {tmp_path / 'pets'}" in caplog.text
    header = store.read_header("pets.safetensors")
    assert header["skipped"] == {"*.jfif": 1, "beside train/ and test/": 1, "hidden": 1}
    record = load("pets.safetensors").record
    assert record["skipped"] == header["skipped"]
    assert record["source_sha256"] == header["source_sha256"]
    assert str(tmp_path).encode() not in (tmp_path / "pets.safetensors").read_bytes()
    assert json.loads((tmp_path / "pets.source.json").read_text())["files"] == 5


def test_data_sets_of_one_colour_are_refused_whatever_their_kind(tmp_path):
    for files in ({**dict.fromkeys(WHOLE, 9)}, {**dict.fromkeys(WHOLE, 9), **TEST}):
        make_folder(tmp_path / "pets", files)
        with pytest.raises(PruningError, match="every pixel of every training image is 9"):
            pets()
    make_folder(tmp_path / "pets", {**dict.fromkeys(WHOLE, 9), "train/a/1.png": 10})
    assert pets() == [9, 9, 10]
    with pytest.raises(PruningError, match="every pixel of every training image is 0"):
        write_mnist(tmp_path, 0)
        pruning.load_data("mnist")


def test_one_constant_channel_is_fine_and_is_normalized_to_zero(tmp_path):
    from pruning.data.batches import Normalizer

    make(tmp_path, "folder", {})
    for i, path in enumerate(WHOLE):
        file = tmp_path / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (i, 7, 0)).save(file)
    data = pruning.load_data("image_folder", path="tree")
    x = Normalizer("per_channel", data)(data.train.images)
    assert torch.equal(x[:, 1:], torch.zeros(3, 2, 2, 2))
    assert x[:, 0].std() > 0.5


def test_places_decide_the_stamp_and_names_the_hash(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"x")
    here, there = (sources.Source(tmp_path / place, {"x": file}) for place in ("here", "there"))
    renamed = sources.Source(tmp_path / "here", {"\udce9": file})  # a name that is no UTF-8
    assert (here.stamp != there.stamp, here.sha256 == there.sha256) == (True, True)
    assert (here.stamp != renamed.stamp, here.sha256 != renamed.sha256) == (True, True)


def test_no_numpy_is_imported_to_look_at_sources(tmp_path):
    make_folder(tmp_path / "pets", WHOLE)
    code = (
        "import sys, pathlib; from pruning.data.sources import find_source;"
        "assert find_source('p', 'image_folder', pathlib.Path('.'), {'path': 'pets'}).sha256;"
        "assert not {'numpy', 'torch', 'PIL', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_devices_and_homes_that_there_are_not_are_said(monkeypatch):
    with pytest.raises(PruningError, match="device 'gpu' cannot be used .*Take device=\"cpu\""):
        pruning.load_data("digits", device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(PruningError, match="device 'cuda' cannot be used"):
            pruning.load_data("digits", device="cuda")

    def nobody(_):
        raise KeyError("uid not found")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(PruningError, match="there is none. Set XDG_CACHE_HOME"):
        pruning.load_data("digits")
