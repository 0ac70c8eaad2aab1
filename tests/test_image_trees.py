"""Trees of images as people have them: each as a folder, a tar archive and a zip archive."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from pruning.data.archives import open_tree
from pruning.data.prepare import prepare
from pruning.data.trees import find_images
from pruning.errors import PruningError


class Link(str):
    """A symbolic link to this target."""


class HardLink(str):
    """A hard link, in archives."""


PIPE, FOLDER = object(), object()


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (2, 2), level).save(buffer, "png")
    return buffer.getvalue()


def content(what):
    return png(what) if isinstance(what, int) else what


def make_folder(root, files):
    for path, what in dict(files).items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if what is FOLDER:
            file.mkdir(exist_ok=True)
        elif what is PIPE:
            os.mkfifo(file)
        elif isinstance(what, Link):
            file.symlink_to(what)
        else:
            file.write_bytes(content(what))


def tar_bytes(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, what in files:
            item = tarfile.TarInfo(path)
            data = b""
            if what is FOLDER:
                item.type = tarfile.DIRTYPE
            elif what is PIPE:
                item.type = tarfile.FIFOTYPE
            elif isinstance(what, Link | HardLink):
                item.type = tarfile.SYMTYPE if isinstance(what, Link) else tarfile.LNKTYPE
                item.linkname = what
            else:
                data = content(what)
                item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
    return buffer.getvalue()


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, what in files:
            kind, data = stat.S_IFREG, b""
            if what is FOLDER:
                path, kind = f"{path}/", stat.S_IFDIR
            elif what is PIPE:
                kind = stat.S_IFIFO
            elif isinstance(what, Link):
                kind, data = stat.S_IFLNK, what.encode()
            else:
                data = content(what)
            item = zipfile.ZipInfo(path)
            item.external_attr = (kind | 0o644) << 16
            archive.writestr(item, data)
    return buffer.getvalue()


def make(tmp_path, container, files):
    """The tree in a container; its name in ``tmp_path``."""
    files = list(dict(files).items())
    if container == "folder":
        (tmp_path / "tree").mkdir()
        make_folder(tmp_path / "tree", files)
        return "tree"
    name = {"tar": "tree.tar", "tar.gz": "tree.tar.gz", "zip": "tree.zip"}[container]
    data = zip_bytes(files) if container == "zip" else tar_bytes(files)
    (tmp_path / name).write_bytes(gzip.compress(data) if container == "tar.gz" else data)
    return name


def seen(tmp_path, path, split="train"):
    """What a tree holds: class and grey level of each image in order, and what was left out."""
    data = prepare("pets", "image_folder", tmp_path, {"path": path, "grey": True})
    labels = [data.classes[i] for i in getattr(data, f"{split}_labels")]
    levels = getattr(data, f"{split}_images")[:, 0, 0, 0].tolist()
    return list(zip(labels, levels, strict=True)), dict(data.skipped)


PLAIN = {"train/a/1.png": 10, "train/a/2.png": 20, "train/b/1.png": 30}
TEST = {"test/a/1.png": 40, "test/b/1.png": 50}
WHOLE = {**PLAIN, **TEST}
IN_TRAIN = [("a", 10), ("a", 20), ("b", 30)]
NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


def under(folder, files=WHOLE):
    return {f"{folder}/{path}": what for path, what in files.items()}


# The files, the training images that are right, what is left out.
READ = {
    "plain": (WHOLE, IN_TRAIN, {}),
    "a leading folder": (under("pets"), IN_TRAIN, {}),
    "three leading folders": (under("a/b/c"), IN_TRAIN, {}),
    "a leading folder beside others": (
        {**under("pets"), "docs/a.txt": b"", "README": b""},
        IN_TRAIN,
        {"beside train/ and test/": 2},
    ),
    "endings in capitals": (
        {**TEST, "train/a/1.PNG": 10, "train/a/2.Png": 20, "train/b/1.png": 30},
        IN_TRAIN,
        {},
    ),
    "folders below a class": (
        {**TEST, "train/a/x/1.png": 10, "train/a/x/y/2.png": 20, "train/b/1.png": 30},
        IN_TRAIN,
        {},
    ),
    "part of a class below it": ({**WHOLE, "train/a/0/9.png": 90}, [("a", 90), *IN_TRAIN], {}),
    "test below a class of train": (
        {**WHOLE, "train/a/test/b/1.png": 60, "train/a/train/b/1.png": 70},
        [("a", 10), ("a", 20), ("a", 60), ("a", 70), ("b", 30)],
        {},
    ),
    "classes called train and test": (
        {f"{split}/{label}/1.png": 7 for split in ("train", "test") for label in ("train", "test")}
        | {"train/test/1.png": 8},
        [("test", 8), ("train", 7)],
        {},
    ),
    "a hidden class": (
        {**WHOLE, **{f"{s}/.ipynb_checkpoints/1.png": 99 for s in ("train", "test")}},
        IN_TRAIN,
        {"hidden": 2},
    ),
    "a hidden folder in a class": ({**WHOLE, "train/a/.cache/1.png": 99}, IN_TRAIN, {"hidden": 1}),
    "AppleDouble files": (
        {**WHOLE, "train/a/._1.png": b"\0\5\x16\7", "test/b/._1.png": b"\0\5\x16\7"},
        IN_TRAIN,
        {"hidden": 2},
    ),
    "__MACOSX": ({**WHOLE, **under("__MACOSX")}, IN_TRAIN, {"hidden": 1}),
    "__MACOSX beside a leading folder": (
        {**under("pets"), **under("__MACOSX/pets")},
        IN_TRAIN,
        {"hidden": 1},
    ),
    "what file managers leave": (
        {
            **WHOLE,
            "train/.DS_Store": b"x",
            "train/a/Thumbs.db": b"x",
            "train/b/desktop.ini": b"x",
            "test/@eaDir/1.png": 99,
        },
        IN_TRAIN,
        {"hidden": 4},
    ),
    "some files of other endings": (
        {**WHOLE, "train/a/3.jfif": b"x", "test/a/4.JFIF": b"x", "train/b/notes": b"x"},
        IN_TRAIN,
        {"*.jfif": 2, "without an ending": 1},
    ),
    "images in no class": (
        {**WHOLE, "train/1.png": 99, "test/list.txt": b""},
        IN_TRAIN,
        {"in no class folder": 2},
    ),
    "a third split": (
        {**WHOLE, "val/a/1.png": 99, "val/b/1.png": 99, "README.md": b""},
        IN_TRAIN,
        {"beside train/ and test/": 2},
    ),
    "classes in two normal forms": (
        {f"train/{NFC}/1.png": 1, "train/b/1.png": 2, f"test/{NFD}/1.png": 3, "test/b/1.png": 4},
        [("b", 2), (NFC, 1)],
        {},
    ),
    "spaces, brackets and dots": (
        {
            f"{split}/{label}/a [1] 'x'.v2.png": level
            for split in ("train", "test")
            for label, level in (("s t", 6), ("v.2", 5))
        },
        [("s t", 6), ("v.2", 5)],
        {},
    ),
    "a link to an image": (
        {**WHOLE, "train/b/2.png": Link("../a/1.png")},
        [*IN_TRAIN, ("b", 10)],
        {},
    ),
    "links to links": (
        {**WHOLE, "train/b/2.png": Link("3.png"), "train/b/3.png": Link("./../a/../a/2.png")},
        [*IN_TRAIN, ("b", 20), ("b", 20)],
        {},
    ),
    "links to files of no ending": (
        {**TEST, "train/a/1.png": Link("../../objects/x"), "objects/x": 10, "train/b/1.png": 30},
        [("a", 10), ("b", 30)],
        {"beside train/ and test/": 1},
    ),
    "a class that is a link": (
        {**TEST, "train/a": Link("../objects/one"), "objects/one/z/1.png": 10, "train/b/1.png": 30},
        [("a", 10), ("b", 30)],
        {"beside train/ and test/": 1},
    ),
    "a link through a folder that is a link": (
        {**WHOLE, "here": Link("train"), "train/b/2.png": Link("../../here/a/1.png")},
        [*IN_TRAIN, ("b", 10)],
        {"beside train/ and test/": 1},
    ),
    "splits that are links": (
        {
            **{f"parts/one/{path[6:]}": what for path, what in PLAIN.items()},
            **{f"parts/two/{path[5:]}": what for path, what in TEST.items()},
            "train": Link("parts/one"),
            "test": Link("./parts/two"),
        },
        IN_TRAIN,
        {"beside train/ and test/": 1},
    ),
    "a link to nothing beside the splits": (
        {**WHOLE, "old": Link("/nowhere/at/all")},
        IN_TRAIN,
        {"beside train/ and test/": 1},
    ),
    "a pipe of another ending": (
        {**WHOLE, "train/a/pipe": PIPE},
        IN_TRAIN,
        {"without an ending": 1},
    ),
}

# The files, and what is said.
REFUSED = {
    "a class of other endings alone": (
        {**WHOLE, **{f"train/c/{file}": b"x" for file in ("1.jfif", "2.JFIF", "3")}},
        r"train/c holds no image that can be read \(2 \*\.jfif, 1 without an ending\)",
    ),
    "a class without files": (
        {**WHOLE, "train/c": FOLDER},
        r"train/c holds no image.*\(no files\)",
    ),
    "a class of hidden files": (
        {**WHOLE, "train/c/.1.png": 1, "test/c/1.png": 1},
        r"train/c holds no image.*\(no files\)",
    ),
    "a class of empty folders": (
        {**WHOLE, "train/c/x/y": FOLDER, "test/c/1.png": 1},
        r"train/c holds no image",
    ),
    "splits in capitals": (
        {p.replace("train", "Train").replace("test", "TEST"): w for p, w in WHOLE.items()},
        r"under train/ and test/, spelled like this; found 'TEST', 'Train'",
    ),
    "one split in capitals": (
        {p.replace("test", "Test"): w for p, w in WHOLE.items()},
        r"has train/ but no test/",
    ),
    "no test split": (PLAIN, r"has train/ but no test/"),
    "a test split in a class alone": (
        {**PLAIN, "train/a/test/b/1.png": 1, "train/a/train/b/1.png": 1},
        r"has train/ but no test/",
    ),
    "no splits": ({"a/1.png": 1, "b/1.png": 2}, r"found 'a', 'b'"),
    "no splits, in a circle": ({"x/a/1.png": 1, "x/up": Link("..")}, r"found 'x'"),
    "nothing": ({"x": FOLDER}, r"found 'x'"),
    "two trees, one by links": (
        {**under("real"), "data/train": Link("../real/train"), "data/test": Link("../real/test")},
        r"more than one tree.*data and .*real",
    ),
    "two trees": ({**under("one"), **under("two")}, r"more than one tree.*one and .*two"),
    "a class in one split alone": (
        {**WHOLE, "train/c/1.png": 1},
        r"same class folders.*test/ lacks 'c'",
    ),
    "other classes in each split": (
        {"train/a/1.png": 1, "test/b/1.png": 2},
        r"train/ lacks 'b' and test/ lacks 'a'",
    ),
    "no classes": ({"train/1.png": 1, "test/1.png": 2}, r"both hold none"),
    "one class": ({"train/a/1.png": 1, "test/a/1.png": 2}, r"holds one class, 'a'"),
    "one class in two normal forms": (
        {**WHOLE, f"train/{NFC}/1.png": 1, f"train/{NFD}/1.png": 2},
        r"has two folders called .* differ in how Unicode spells them",
    ),
    "a link to nothing": (
        {**WHOLE, "train/a/3.png": Link("gone.png")},
        r"a/3\.png is a link to nothing",
    ),
    "a class that is a link to nothing": (
        {**WHOLE, "train/c": Link("../gone")},
        r"train/c is a link to nothing",
    ),
    "a split that is a link to nothing": (
        {**PLAIN, "test": Link("/gone/test")},
        r"test is a link to nothing",
    ),
    "a link to itself": (
        {**WHOLE, "train/a/3.png": Link("3.png")},
        r"3\.png is a link that goes in a circle",
    ),
    "links to each other": (
        {**WHOLE, "train/a/x": Link("y"), "train/a/y": Link("x")},
        r"train/a/x is a link that goes in a circle",
    ),
    "a folder that holds itself": (
        {**WHOLE, "train/a/up": Link("..")},
        r"train/a/up/a is a link that goes in a circle",
    ),
    "a folder called like an image": (
        {**WHOLE, "train/a/3.png/1.png": 1},
        r"a/3\.png is called like an image, but is a folder",
    ),
    "a pipe called like an image": (
        {**WHOLE, "train/a/3.png": PIPE},
        r"a/3\.png is called like an image, but is neither a file nor a folder",
    ),
    "an image that is none": (
        {**WHOLE, "train/a/3.png": b"x"},
        r"a/3\.png is not a readable image \(of no format",
    ),
    "an image without bytes": ({**WHOLE, "test/a/3.gif": b""}, r"a/3\.gif is not a readable image"),
}
CONTAINERS = ("folder", "tar", "zip")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", READ)
def test_the_same_images_are_found_in_folders_and_archives(tmp_path, case, container):
    files, images, skipped = READ[case]
    path = make(tmp_path, container, files)
    assert seen(tmp_path, path) == (images, skipped)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", REFUSED)
def test_trees_with_a_fault_are_refused_by_name(tmp_path, case, container):
    files, said = REFUSED[case]
    path = make(tmp_path, container, files)
    with pytest.raises(PruningError, match=said) as error:
        seen(tmp_path, path)
    assert str(tmp_path / path) in str(error.value)
    assert " at 0x" not in str(error.value)
    assert "\n" not in str(error.value)


def test_links_of_a_folder_may_lead_out_of_it_and_those_of_archives_may_not(tmp_path):
    make_folder(tmp_path / "elsewhere", {"1.png": 60})
    files = {**WHOLE, "train/b/2.png": Link(tmp_path / "elsewhere" / "1.png")}
    assert seen(tmp_path, make(tmp_path, "folder", files))[0] == [*IN_TRAIN, ("b", 60)]
    files |= {"deep/er/x": b"", "here": Link("deep/er")}
    for target in (
        tmp_path / "elsewhere/1.png",
        "../../../elsewhere/1.png",
        "../../here/../../../train/a/1.png",
    ):
        files["train/b/2.png"] = Link(target)
        for container in ("tar", "zip"):
            with pytest.raises(PruningError, match=r"train/b/2\.png is a link to nothing"):
                seen(tmp_path, make(tmp_path, container, files))
    files["train/b/2.png"] = Link("../../here/../../train/a/1.png")
    for container in ("tar", "zip"):
        assert seen(tmp_path, make(tmp_path, container, files))[0] == [*IN_TRAIN, ("b", 10)]


def tar(tmp_path, *files, compress=bytes, name="tree.tar"):
    (tmp_path / name).write_bytes(compress(tar_bytes(files)))
    return name


@pytest.mark.parametrize("prefix", ["./", "/", "././", "pets/./"])
def test_prefixes_of_members_make_no_difference(tmp_path, prefix):
    files = [(f"{prefix}{path}", what) for path, what in WHOLE.items()]
    assert seen(tmp_path, tar(tmp_path, *files))[0] == IN_TRAIN


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_archives_are_known_by_their_bytes(tmp_path, compress):
    path = tar(tmp_path, *WHOLE.items(), compress=compress, name="tree.data")
    assert seen(tmp_path, path)[0] == IN_TRAIN


@pytest.mark.parametrize("archive", [tar_bytes, zip_bytes])
def test_of_members_of_one_name_the_last_counts_as_in_the_folder_they_unpack_to(tmp_path, archive):
    files = [*WHOLE.items(), ("./train/a/1.png", 11), ("train/b/1.png", 31)]
    with (
        pytest.warns(UserWarning, match="Duplicate")
        if archive is zip_bytes
        else contextlib.nullcontext()
    ):
        (tmp_path / "tree").write_bytes(archive(files))
    images, skipped = seen(tmp_path, "tree")
    assert images == [("a", 11), ("a", 20), ("b", 31)]
    assert skipped == {"replaced by a later member of the same name": 2}


def test_hard_links_are_the_file_that_was_there_before(tmp_path):
    files = [
        ("train/a/1.png", 10),
        ("train/b/1.png", HardLink("train/a/1.png")),
        ("train/a/1.png", 12),  # a file of its own, as unpacking makes a new one
        *TEST.items(),
    ]
    assert seen(tmp_path, tar(tmp_path, *files))[0] == [("a", 12), ("b", 10)]
    lost = [*WHOLE.items(), ("train/b/9.png", HardLink("train/a/9.png"))]
    with pytest.raises(PruningError, match=r"train/b/9\.png is a link to nothing"):
        seen(tmp_path, tar(tmp_path, *lost))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (("../train/a/3.png", 9), r"member '\.\./train/a/3\.png', which leads out of its folder"),
        (("train/a", 9), r"member 'train/a' that is a folder in one place and none in another"),
        (("train/a/1.png/x", 9), r"member 'train/a/1\.png/x' that is a folder in one place"),
    ],
)
def test_members_that_contradict_each_other_are_refused(tmp_path, extra, said):
    with pytest.raises(PruningError, match=said):
        seen(tmp_path, tar(tmp_path, *WHOLE.items(), extra))


def damaged(tmp_path, content, name="tree.tar"):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        PruningError, match=f"{name} is damaged or neither a tar nor a zip"
    ) as error:
        seen(tmp_path, name)
    return str(error.value)


def test_nothing_of_a_damaged_tar_archive_is_dropped_in_silence(tmp_path):
    whole = tar_bytes(WHOLE.items())
    member = 2 * 512  # a header and a small image
    end = len(WHOLE) * member
    for cut in range(0, end + 512, 256):  # without the end mark, even between two members
        damaged(tmp_path, whole[:cut])
    assert "header" in damaged(tmp_path, whole[:member] + b"\7" * 512 + whole[member + 512 :])
    assert "more behind its end" in damaged(tmp_path, whole + tar_bytes(TEST.items()))
    packed = bytearray(gzip.compress(whole))
    packed[-8] ^= 1  # its check sum
    damaged(tmp_path, bytes(packed))
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        packed = compress(whole)
        for part in (0.3, 0.9, 0.99):
            damaged(tmp_path, packed[: int(part * len(packed))])


def test_nothing_of_a_damaged_zip_archive_is_dropped_in_silence(tmp_path):
    whole = zip_bytes(WHOLE.items())
    for cut in range(4, len(whole), 97):
        damaged(tmp_path, whole[:cut], "tree.zip")
    broken = bytearray(whole)
    broken[whole.index(b"train/a/1.png") + 40] ^= 0xFF
    damaged(tmp_path, bytes(broken), "tree.zip")
    locked = bytearray(whole)
    locked[whole.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in damaged(tmp_path, bytes(locked), "tree.zip")
    damaged(tmp_path, b"7z\xbc\xaf\x27\x1c" + whole, "tree.7z")


def test_names_as_archivers_on_windows_and_macs_write_them(tmp_path):
    files = [(path.replace("/", "\\"), what) for path, what in WHOLE.items()]
    (tmp_path / "windows.zip").write_bytes(zip_bytes(files))
    assert seen(tmp_path, "windows.zip")[0] == IN_TRAIN
    files = [(path.replace("/a/", "/é/"), what) for path, what in WHOLE.items()]
    unsaid = bytearray(zip_bytes(files))
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # drop the flag that says UTF-8
        at = unsaid.find(magic)
        while at >= 0:
            unsaid[at + flags + 1] &= ~8
            at = unsaid.find(magic, at + 1)
    (tmp_path / "mac.zip").write_bytes(bytes(unsaid))
    assert seen(tmp_path, "mac.zip")[0] == [("b", 30), ("é", 10), ("é", 20)]


def test_folder_and_archives_are_in_one_order(tmp_path):
    names = ["10.png", "9.png", "B.png", "a.png", "x/1.png", "x-1.png", "é.png", NFD + "2.png"]
    files = {
        f"{s}/{c}/{n}": i for s in ("train", "test") for c in "ab" for i, n in enumerate(names)
    }
    orders = {}
    for container in CONTAINERS:
        orders[container] = seen(tmp_path, make(tmp_path, container, files), "test")
    assert orders["folder"] == orders["tar"] == orders["zip"]
    (tmp_path / "back.tar").write_bytes(tar_bytes(reversed(files.items())))
    assert seen(tmp_path, "back.tar", "test") == orders["tar"]


def test_trees_may_be_deeper_than_functions_may_call_each_other(tmp_path):
    deep = "/".join(["train/a", *"d" * 1500, "1.png"])
    assert seen(tmp_path, tar(tmp_path, *WHOLE.items(), (deep, 99)))[0] == [
        *IN_TRAIN[:2],
        ("a", 99),
        IN_TRAIN[2],
    ]


def test_the_order_does_not_depend_on_how_a_file_system_spells_names(tmp_path):
    names = ["e.png", "é.png", "f.png", "z.png"]
    files = {
        f"{s}/{c}/{n}": i for s in ("train", "test") for c in "ab" for i, n in enumerate(names)
    }
    for form in ("NFC", "NFD"):
        spelled = [(unicodedata.normalize(form, path), what) for path, what in files.items()]
        images, _ = seen(tmp_path, tar(tmp_path, *spelled))
        assert [level for label, level in images if label == "a"] == [0, 2, 3, 1]


def test_large_trees_list_some_of_what_differs(tmp_path):
    files = {**WHOLE, **{f"train/c{i:03}/1.png": 1 for i in range(300)}}
    with pytest.raises(PruningError, match="'c009' and 290 more") as error:
        find_images("pets", open_tree("pets", tmp_path / make(tmp_path, "tar", files)))
    assert len(str(error.value)) < 400


def test_a_background_or_grey_of_another_type_is_refused(tmp_path):
    make(tmp_path, "folder", WHOLE)
    for option in ({"background": 256}, {"background": "white"}, {"background": True}, {"grey": 1}):
        with pytest.raises(PruningError, match=f"{next(iter(option))}`? is "):
            prepare("pets", "image_folder", tmp_path, {"path": "tree", **option})
    data = prepare("pets", "image_folder", tmp_path, {"path": "tree", "background": 0.0})
    assert np.array_equal(data.train_images[:, 0, 0, 1], [10, 20, 30])
