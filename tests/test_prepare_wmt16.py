"""The steps that make the text of WMT16, on a few lines."""

import importlib.util
import io
import sys
import tarfile

import pytest

from pruning.data.pieces import SPECIAL
from pruning.data.sentences import load_text
from pruning.errors import PruningError
from pruning.stages.prepare_data import prepare_data
from tests.conftest import REPOSITORY
from tests.wmt import needs_wmt

EN = ["It's 5 o'clock | now.", "Nothing", "A dog runs in the park.", "", "a " * 10, "x" * 1001]
DE = ["Es ist 5 Uhr.", "", "Ein Hund läuft im Park.", "Leer", "eins", "y"]


@pytest.fixture(scope="module")
def script():
    path = REPOSITORY / "resources" / "prepare_wmt16.py"
    spec = importlib.util.spec_from_file_location("prepare_wmt16", path)
    module = sys.modules["prepare_wmt16"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["prepare_wmt16"]


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, lines in files.items():
            content = "".join(f"{line}\n" for line in lines).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def there(script, tmp_path, monkeypatch):
    """Small corpora and test sets where the script looks for them."""
    folder = tmp_path / "there"
    folder.mkdir()
    corpora = {}
    for number, stem in enumerate(script.CORPORA.values()):
        path = folder / f"{number}.tgz"
        inside = "training/" if number else ""
        sides = zip(("en", "de"), (EN, DE), strict=True)
        archive(path, {f"{inside}{stem}.{language}": lines for language, lines in sides})
        corpora[path.as_uri()] = stem
    for name in ("newstest.en", "newstest.de"):
        (folder / name).write_text(
            "The dog.\nThe park.\n" if name.endswith("en") else "Der Hund.\nIm Park.\n"
        )
    monkeypatch.setattr(script, "CORPORA", corpora)
    monkeypatch.setattr(script, "MERGES", 20)
    monkeypatch.setattr(script, "TESTS", {"newstest2014": ("a", 2), "newstest2015": ("b", 1)})
    monkeypatch.setattr("sacrebleu.utils.get_source_file", lambda *_: str(folder / "newstest.en"))
    monkeypatch.setattr(
        "sacrebleu.utils.get_reference_files", lambda *_: [str(folder / "newstest.de")]
    )
    return folder


@needs_wmt
def test_all_steps_make_what_is_read(script, there, tmp_path, capsys):
    folder = tmp_path / "wmt16_en_de"
    script.make(folder, 1)
    told = capsys.readouterr().out
    assert "6 of 18 pairs are kept" in told
    assert "pairs below 48 tokens: 6 (published: 3,534,981; -100.00%)" in told
    assert "newstest.en: the first 1 of 2 lines are taken" in told
    assert (folder / "train.en").read_text().splitlines() == [line.strip("\n") for line in EN * 3]
    tokens = (folder / "train.tok.clean.en").read_text().splitlines()
    assert tokens[:2] == ["It &apos;s 5 o &apos;clock &#124; now .", "A dog runs in the park ."]
    assert (folder / "newstest2014.de").read_text() == "Der Hund.\nIm Park.\n"
    assert (folder / "newstest2015.de").read_text() == "Der Hund.\n"
    pieces = (folder / "vocab.bpe.20").read_text().splitlines()
    assert tuple(pieces[:3]) == SPECIAL
    assert any(piece.endswith("@@") for piece in pieces)
    for file in folder.glob("*.bpe.20*"):
        file.rename(file.with_name(file.name.replace("bpe.20", "bpe.32000")))
    path = tmp_path / "w.safetensors"
    prepare_data("w", {"kind": "wmt16_en_de"}, tmp_path, path)
    data = load_text(path)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 1)
    assert "train source tokens to <unk>" not in data.record.get("converted", {})
    ids = data.train.target.tokens[: int(data.train.target.lengths[0])]
    assert data.text(ids.tolist()) == "Es ist 5 Uhr."


@needs_wmt
def test_a_run_that_broke_off_goes_on(script, there, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "wmt16_en_de"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(script, "learn", killed)
        with pytest.raises(KeyboardInterrupt):
            script.make(folder, 1)
    assert not [path for path in folder.rglob("*") if "bpe" in path.name or ".part" in path.name]
    capsys.readouterr()
    (folder / "train.tok.clean.de").unlink()  # of a pair of files both are made again
    for file in there.glob("*.tgz"):
        file.unlink()
    script.make(folder, 1)
    told = capsys.readouterr().out
    assert "there: train.tok.en" in told
    assert "cleaning ..." in told
    assert "downloading" not in told
    before = {path: path.read_bytes() for path in folder.glob("*") if path.is_file()}
    script.make(folder, 1)
    assert "..." not in capsys.readouterr().out
    assert before == {path: path.read_bytes() for path in folder.glob("*") if path.is_file()}


def test_pairs_are_cleaned_as_moses_cleans_them(script, tmp_path):
    rows = [
        ("a b", "c d"),
        (" ".join("a" * 80), " ".join("b" * 80)),
        (" ".join("a" * 81), " ".join("b" * 80)),
        (" ".join("a" * 9), "b"),
        ("b", " ".join("a" * 10)),
        ("x" * 1000, "a"),
        ("x" * 1001, "a"),
        ("a  |  b", "c\u2003d"),
        ("|", "c"),
    ]
    files = [tmp_path / name for name in ("en", "de", "en.clean", "de.clean")]
    for file, side in zip(files, zip(*rows, strict=True), strict=False):
        file.write_text("".join(f"{line}\n" for line in side))
    script.clean(files[:2], *files[2:])
    kept = [file.read_text().splitlines() for file in files[2:]]
    assert list(zip(*kept, strict=True)) == [*rows[:2], rows[3], rows[5], ("a b", "c d")]


def test_pieces_are_listed_by_how_often_they_are_there(script, tmp_path):
    for name, content in (("de", "b a@@ b\nc </s>\n"), ("en", "b a@@ <unk> d\n")):
        (tmp_path / name).write_text(content)
    script.vocabulary([tmp_path / "de", tmp_path / "en"], tmp_path / "v")
    assert (tmp_path / "v").read_text().split() == [*SPECIAL, "b", "a@@", "c", "d"]


def test_what_is_missing_or_broken_is_said(script, tmp_path):
    archive(tmp_path / "a.tgz", {"corpus.en": ["a"]})
    with pytest.raises(PruningError, match=r"a.tgz has no corpus.de"):
        script.unpack(tmp_path / "a.tgz", "corpus", tmp_path / "en", tmp_path / "de")
    (tmp_path / "half").write_text("a\nb")
    with pytest.raises(PruningError, match="ends within a line"):
        script.concatenate([tmp_path / "half"], tmp_path / "out")
    with pytest.raises(PruningError, match="has 2 lines, and 3 are wanted"):
        script.first(tmp_path / "half", 3, tmp_path / "out")
    (tmp_path / "bad").write_bytes(b"a\n\xff\n")
    with pytest.raises(PruningError, match=r"Line 2 of \S+bad is no UTF-8"):
        list(script.text_lines(tmp_path / "bad"))


def test_several_processes_change_lines_in_order(script, tmp_path):
    source, output = tmp_path / "a", tmp_path / "b"
    source.write_text("".join(f"{number}\n" for number in range(2500)))
    script.rewritten(source, output, str.strip, processes=2)
    assert output.read_text() == source.read_text()
