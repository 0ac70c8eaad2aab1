"""Text in two languages: read, prepared, checked, and joined to text again."""

import gzip
import hashlib
import logging
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.data import multi30k as multi30k_reader
from pruning.data import sources, splits, store, text_files
from pruning.data.joining import join
from pruning.data.known import KNOWN, TextFacts, known_facts, prepared_facts, stand_in
from pruning.data.parallel_text import _learn
from pruning.data.pieces import END, SPECIAL, UNKNOWN
from pruning.data.sentences import Sentences, load_text
from pruning.data.text_sets import MULTI30K_TEXTS
from pruning.data.text_store import TextData, TextSide, TextSplit
from pruning.errors import PruningError
from pruning.stages.prepare_data import prepare_data
from tests.wmt import needs_wmt

REAL = Path(os.environ.get("PRUNING_DATA") or "resources/data", "multi30k")
real = pytest.mark.skipif(
    not (REAL / "train.de.gz").exists() and not (REAL / "train.de").exists(),
    reason="Multi30k is not in the data folder ($PRUNING_DATA/multi30k)",
)
OPTIONS = {
    "kind": "parallel_text", "path": "text", "source": "de", "target": "en", "train": "train",
    "validation": "val", "test": "test", "vocabulary": 40,
}  # fmt: skip
TRAIN = [
    ("ein hund läuft", "a dog runs"),
    ("zwei hunde laufen im park", "two dogs run in the park"),
    ("eine katze schläft hier", "a cat sleeps here"),
    ("ein mann und eine frau gehen", "a man and a woman walk"),
]
OTHER = [
    ("ein hund schläft", "A dog sleeps."),
    ("eine frau läuft im park", "A woman, in the park."),
]
WORDS = [("a@@ a b", "x y"), ("b b@@ b", "y@@ y x"), ("a@@ a", "x"), ("b", "q")]
PLAIN = [("b a@@ a", "x y@@ y"), ("zz b", "y")]


def write(folder, stem, pairs, languages=("de", "en"), packed=False):
    folder.mkdir(exist_ok=True)
    for language, side in zip(languages, zip(*pairs, strict=True), strict=True):
        content = "".join(f"{line}\n" for line in side).encode()
        name = f"{stem}.{language}"
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / name).write_bytes(content)


@pytest.fixture
def text(tmp_path):
    """A folder with a little text."""
    folder = tmp_path / "text"
    for stem, pairs in (("train", TRAIN), ("val", OTHER), ("test", OTHER[:1])):
        write(folder, stem, pairs)
    return folder


@pytest.fixture
def words(tmp_path):
    """A folder with a few tokens."""
    folder = tmp_path / "text"
    for stem, pairs in (("train", WORDS), ("val", PLAIN), ("test", PLAIN[:1])):
        write(folder, stem, pairs)
    pieces = [*SPECIAL, "a", "a@@", "b", "b@@", "x", "y", "y@@"]
    (folder / "vocab").write_text("".join(f"{piece}\n" for piece in pieces))
    (folder / "val.raw").write_text("X yy!\nY.\n")
    (folder / "test.raw").write_text("X yy!\n")
    return folder


TOKENS = {
    **OPTIONS, "kind": "parallel_tokens", "vocabulary": "vocab",
    "validation_references": "val.raw", "test_references": "test.raw",
}  # fmt: skip


def prepare(tmp_path, name="t", **options):
    path = tmp_path / f"{name}.safetensors"
    prepare_data(name, {**OPTIONS, **options}, tmp_path, path)
    return path


def refused(tmp_path, match, **options):
    with pytest.raises(PruningError, match=match):
        prepare(tmp_path, **options)


# -- reading --------------------------------------------------------------------------------------


def test_text_is_prepared_and_comes_back(text, tmp_path):
    data = load_text(prepare(tmp_path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [4, 2, 1]
    assert data.languages == ("de", "en")
    assert data.source_pieces == data.target_pieces
    assert data.source_pieces[:3] == SPECIAL
    assert len(data.source_pieces) == 40
    assert data.train.references == ()
    assert data.validation.references == tuple(line for _, line in OTHER)
    tokens, lengths = data.train.target.padded(torch.arange(4))
    assert [data.text(row.tolist()) for row in tokens] == [line for _, line in TRAIN]
    tokens, _ = data.train.source.padded(torch.tensor([1]))
    joined = join(data.joining, "de", [data.source_pieces[i] for i in tokens[0]])
    assert joined == TRAIN[1][0]
    assert lengths.tolist() == data.train.target.lengths.tolist()
    assert {k: data.record[k] for k in ("dataset", "languages", "pairs", "vocabulary")} == {
        "dataset": "t",
        "languages": ["de", "en"],
        "pairs": {"train": 4, "validation": 2, "test": 1},
        "vocabulary": {"source": 40, "target": 40},
    }
    # Letters of the validation text that training has not: A, comma and full stop.
    assert data.record["converted"] == {
        "test target tokens to <unk>": 2, "validation target tokens to <unk>": 5
    }  # fmt: skip


def test_the_same_text_gives_the_same_bytes_plain_or_packed(text, tmp_path):
    first = store.opened(prepare(tmp_path))[0]["tensors"]
    content = prepare(tmp_path).read_bytes()
    assert prepare(tmp_path).read_bytes() == content
    for file in list(text.iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert store.opened(prepare(tmp_path))[0]["tensors"] == first


def test_long_and_empty_pairs_are_left_out_of_training_alone_and_said(text, tmp_path, caplog):
    lengths = load_text(prepare(tmp_path)).train
    longest = torch.maximum(lengths.source.lengths, lengths.target.lengths)
    most = int(longest.sort().values[-2])  # two at least have as many
    write(text, "train", [*TRAIN, ("", "nothing"), ("nichts", " ")])
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="pruning"):
        data = load_text(prepare(tmp_path, most_tokens=most, vocabulary=42))
    kept = data.train
    assert max(int(side.lengths.max()) for side in (kept.source, kept.target)) < most
    out = data.record["skipped"]
    assert out.pop("training pairs with an empty side") == 2
    assert out == {f"training pairs of {most} tokens or more": 4 - len(kept)}
    assert "left out" in caplog.text
    assert f"training pairs of {most} tokens or more" in caplog.text
    assert len(data.validation) == 2
    assert int(data.validation.target.lengths.max()) >= most  # never cut


def test_what_is_wrong_with_files_is_said(text, tmp_path):
    def again(stem="train", pairs=TRAIN):
        write(text, stem, pairs)

    (text / "train.en").write_text("one\n")
    refused(tmp_path, r"train.de has 4, \S+train.en has 1")
    (text / "train.en").write_text("one\n" * 9)
    refused(tmp_path, r"train.de has 4, \S+train.en has 9")
    again()
    (text / "train.en").write_bytes(b"one\ntw\xffo\nthree\nfour\n")
    refused(tmp_path, r"line 2 of \S+train.en is no UTF-8")
    (text / "train.en").write_bytes(b"one\ntwo\r\nthree\nfour\n")
    refused(tmp_path, r"line 2 of \S+train.en ends in a carriage return")
    (text / "train.en").write_text("\ufeffone\n2\n3\n4\n")
    refused(tmp_path, r"line 1 of \S+train.en has a BOM")
    again()
    (text / "val.de").write_text("ein hund\n\n")
    refused(tmp_path, "line 2 of the validation text is empty on its source side")
    (text / "val.de").unlink()
    refused(tmp_path, r"no file \S+val.de, nor one that ends in .gz")
    (text / "val.de.gz").write_bytes(b"nothing packed")
    refused(tmp_path, r"val.de.gz is damaged")
    (text / "val.de.gz").write_bytes(gzip.compress(b"ein hund\n" * 99)[:-9])
    refused(tmp_path, r"val.de.gz is damaged")
    again("val", OTHER)
    refused(tmp_path, "val.de and val.de.gz, and they may differ")
    (text / "val.de.gz").unlink()
    refused(
        tmp_path,
        "`vocabulary` is 5000 pieces, and the training text has no more than ",
        vocabulary=5000,
    )
    refused(tmp_path, "more letters than that. Raise it", vocabulary=5)
    refused(tmp_path, "none of the 4 training pairs", most_tokens=1)
    refused(tmp_path, "must be two languages", target="de")
    for name in ("test.de", "test.en"):
        (text / name).write_text("")
    refused(tmp_path, "the test text has no lines")


def test_only_line_feeds_end_lines(text, tmp_path):
    odd = [("ein\u2028hund\x0bläuft\x85x", "a\u2028dog\x1cruns"), *TRAIN[1:]]
    write(text, "train", odd)
    write(text, "val", [("ein hund", "a\u2028dog")])
    data = load_text(prepare(tmp_path))
    assert len(data.train) == 4
    assert data.validation.references == ("a\u2028dog",)


def test_long_sentences_and_odd_ones_are_learned_from_too(text, tmp_path):
    write(text, "train", [*TRAIN, ("ein\u2585quark ß", f"a jazz {5000 * 'y'}")])
    data = load_text(prepare(tmp_path, most_tokens=9999, validation="train", test="train"))
    assert {"q", "ß", "z"} <= {letter for piece in data.source_pieces for letter in piece}
    marks = [f"{split} source tokens to <unk>" for split in ("test", "train", "validation")]
    assert data.record["converted"] == dict.fromkeys(marks, 1)


def test_changed_text_is_seen(text, tmp_path):
    path = prepare(tmp_path)
    options = {key: value for key, value in OPTIONS.items() if key != "kind"}

    def changed():
        found = sources.find_source("t", "parallel_text", tmp_path, options)
        return sources.has_changed(path, found)

    assert not changed()
    (text / "notes").write_text("nothing that is read")
    assert not changed()
    (text / "test.en").write_text("Another dog sleeps.\n")
    assert changed()
    prepare(tmp_path)
    assert not changed()
    (text / "test.de").rename(text / "away")
    assert changed()


def test_which_files_the_kinds_are_read_from(tmp_path, words):
    options = {key: value for key, value in TOKENS.items() if key != "kind"}
    found = sources.find_source("t", "parallel_tokens", tmp_path, options)
    sides = {f"{stem}.{language}" for stem in ("train", "val", "test") for language in ("de", "en")}
    assert found.files.keys() == {*sides, "vocab", "val.raw", "test.raw"}
    folder = tmp_path / "wmt16_en_de"
    folder.mkdir()
    files = [
        *(f"train.tok.clean.bpe.32000.{language}" for language in ("en", "de")),
        *(f"newstest201{y}.tok.bpe.32000.{language}" for y in (4, 5) for language in ("en", "de")),
        "vocab.bpe.32000", "newstest2014.de", "newstest2015.de",
    ]  # fmt: skip
    for file in (*files, "train.en"):
        (folder / file).write_text("a\n")
    found = sources.find_source("w", "wmt16_en_de", tmp_path, {})
    assert sorted(found.files) == sorted(files)
    folder.rename(tmp_path / "other")
    assert sources.find_source("w", "wmt16_en_de", tmp_path, {}) is None
    assert sources.find_source("w", "wmt16_en_de", tmp_path, {"path": "other"}).files
    assert sources.find_source("m", "multi30k", tmp_path, {}) is None
    (tmp_path / "multi30k").mkdir()
    for file in ("train.de", "val.en.gz", "test_2017_flickr.de"):
        (tmp_path / "multi30k" / file).write_text("")
    found = sources.find_source("m", "multi30k", tmp_path, {})
    assert found.files.keys() == {"train.de", "val.en.gz"}


# -- text that is tokens --------------------------------------------------------------------------


def test_tokens_are_read_with_their_vocabulary(words, tmp_path):
    data = load_text(prepare(tmp_path, **TOKENS))
    tokens, lengths = data.train.source.padded(torch.tensor([0, 3]))
    pieces = data.source_pieces
    assert [pieces[i] for i in tokens[0]] == ["a@@", "a", "b"]
    assert tokens[1].tolist() == [pieces.index("b"), END, END]
    assert lengths.tolist() == [3, 1]
    assert data.record["converted"] == {
        "train target tokens to <unk>": 1, "validation source tokens to <unk>": 1
    }  # fmt: skip
    assert data.train.target.padded(torch.tensor([3]))[0].tolist() == [[UNKNOWN]]
    assert data.validation.references == ("X yy!", "Y.")
    assert data.record["vocabulary"] == {"source": 10, "target": 10}


def test_a_token_that_looks_like_an_end_is_none(words, tmp_path):
    (words / "train.en").write_text("x </s> y\n<s>\n<unk>\nx\n")
    data = load_text(prepare(tmp_path, **TOKENS))
    assert data.train.target.padded(torch.tensor([0]))[0][0, 1] == UNKNOWN
    assert data.record["converted"]["train target tokens to <unk>"] == 3


def test_tokens_end_at_spaces_alone(words, tmp_path):
    (words / "train.en").write_text("x\u00a0y  x \nx\ny\ny\n")
    data = load_text(prepare(tmp_path, **TOKENS))
    assert data.train.target.lengths.tolist() == [2, 1, 1, 1]


def test_what_is_wrong_with_tokens_is_said(words, tmp_path):
    (words / "val.raw").write_text("one\n")
    refused(tmp_path, r"val.raw has 1, \S+val.en has 2", **TOKENS)
    (words / "val.raw").write_text("X yy!\nY.\n")
    (words / "train.de").write_text("a\n")
    refused(tmp_path, r"train.de has 1, \S+train.en has 4", **TOKENS)
    write(words, "train", WORDS)
    (words / "vocab").write_text("<s>\n</s>\n<unk>\n")
    refused(tmp_path, "must begin with the lines <unk>, <s>, </s>; it begins with <s>", **TOKENS)
    (words / "vocab").write_text("<unk>\n<s>\n</s>\na\nb\na\n")
    refused(tmp_path, "has 'a' twice", **TOKENS)
    with pytest.raises(PruningError, match=r"no folder .*prepare_wmt16.py"):
        prepare_data("w", {"kind": "wmt16_en_de"}, tmp_path, tmp_path / "w")


@needs_wmt
def test_a_folder_of_wmt16_is_read_from_english_to_german(tmp_path):
    folder = tmp_path / "wmt16_en_de"
    pair = [("it is 5 o&apos;clock", "es ist 5 U@@ hr .")]
    write(folder, "train.tok.clean.bpe.32000", pair, ("en", "de"))
    for year in ("2014", "2015"):
        write(folder, f"newstest{year}.tok.bpe.32000", pair, ("en", "de"))
        (folder / f"newstest{year}.de").write_text("Es ist 5 Uhr.\n")
    pieces = dict.fromkeys(" ".join(pair[0]).split())
    (folder / "vocab.bpe.32000").write_text("\n".join([*SPECIAL, *pieces]) + "\n")
    path = tmp_path / "w.safetensors"
    prepare_data("w", {"kind": "wmt16_en_de"}, tmp_path, path)
    data = load_text(path)
    assert data.languages == ("en", "de")
    assert data.text([*data.test.target.tokens.tolist(), END, 5]) == "es ist 5 Uhr."
    assert data.test.references == ("Es ist 5 Uhr.",)


# -- joining --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    lines = [line for pair in TRAIN + OTHER for line in pair]
    return _learn("t", [*lines, "▁ <s> < unk > a▁b ⁇"], 60)


@given(ids=st.lists(st.integers(0, 59), max_size=12))
def test_pieces_are_joined_as_sentencepiece_joins_them(model, ids):
    pieces = [model.id_to_piece(i) for i in ids]
    assert join("sentencepiece", "en", pieces) == model.decode(ids)


@given(st.text(max_size=30))
def test_any_text_is_joined_as_sentencepiece_joins_it(model, text):
    ids = model.encode(text)
    pieces = [model.id_to_piece(i) for i in ids]
    assert join("sentencepiece", "en", pieces) == model.decode(ids)


@needs_wmt
def test_tokens_of_moses_become_text():
    def joined(text):
        return join("subword_moses", "de", text.split(" "))

    assert joined("er sagte : &quot; das ist g@@ u@@ t &quot; .") == 'er sagte: "das ist gut".'
    assert joined("ein U@@ nf@@") == "ein Unf"
    assert joined("") == ""
    with pytest.raises(PruningError, match="Unknown way to join"):
        join("moses", "de", [])


def test_a_sentence_ends_where_it_says(text, tmp_path):
    data = load_text(prepare(tmp_path))
    ids = data.train.target.padded(torch.tensor([0]))[0][0].tolist()
    assert data.text([*ids, END, *ids]) == TRAIN[0][1]
    assert data.text([END, *ids]) == ""
    assert data.text([]) == ""


# -- files ----------------------------------------------------------------------------------------


def edited(path, change):
    """A prepared file with other bytes in its arrays."""
    content = bytearray(path.read_bytes())
    (size,) = struct.unpack("<Q", content[:8])
    change(content, 8 + size)
    path.write_bytes(content)


def test_damaged_changed_and_foreign_files_are_refused(text, tmp_path):
    path = prepare(tmp_path)
    with pytest.raises(PruningError, match=r"nothing\S* does not exist"):
        load_text(tmp_path / "nothing.safetensors")
    data = load_text(path)

    def flip(content, start):
        content[start] ^= 1

    edited(path, flip)
    with pytest.raises(PruningError, match="is not as it was written"):
        data.train.source  # noqa: B018
    with pytest.raises(PruningError, match="is not as it was written"):
        load_text(path).validation.references  # noqa: B018
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(PruningError, match="is damaged"):
        load_text(path)
    foreign = tmp_path / "foreign.safetensors"
    store.save_file({"x": np.zeros(3)}, foreign)
    with pytest.raises(PruningError, match=r"not a prepared data set .*pruning-text-1"):
        load_text(foreign)


def test_pieces_are_as_many_as_the_header_says(text, tmp_path, monkeypatch):
    plain = TextData.header
    monkeypatch.setattr(TextData, "header", lambda data: plain(data) | {"vocabulary": [40, 41]})
    path = prepare(tmp_path)
    with pytest.raises(PruningError, match="is not as it was written"):
        load_text(path).train.source  # noqa: B018


def test_a_file_made_anew_is_not_mixed_with_the_old(text, tmp_path):
    data = load_text(prepare(tmp_path))
    write(text, "train", TRAIN[:3])
    prepare(tmp_path)
    with pytest.raises(PruningError, match="was made anew since it was loaded"):
        data.train.target  # noqa: B018


def test_images_and_text_are_not_taken_for_each_other(text, tmp_path, digits_file):
    with pytest.raises(PruningError, match=r"Data set 't' is text .*where images should be"):
        splits.load(prepare(tmp_path))
    with pytest.raises(PruningError, match=r"Data set 'digits' is images .*where text should be"):
        load_text(digits_file)


def side(*sentences):
    return TextSide.of(sentences)


GOOD = TextSplit(side([3], [4, 3]), side([3, 3], [4]))
BEST = replace(GOOD, references=("a", "b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": replace(GOOD, target=side([3]))}, "2 source and 1 target"),
        ({"train": TextSplit(side(), side())}, "0 source and 0 target"),
        ({"train": BEST}, "train split has 2 references"),
        ({"test": GOOD}, "test split has 0 references"),
        ({"test": replace(BEST, references=("a", "b\nc"))}, "line's end"),
        ({"train": replace(GOOD, source=side([3], [9]))}, "no piece of the vocabulary"),
        ({"train": replace(GOOD, source=side([3], [-1]))}, "no piece of the vocabulary"),
        ({"train": replace(GOOD, source=side([3], [END]))}, "a beginning or an end within"),
        ({"train": replace(GOOD, source=side([3], [1, 3]))}, "a beginning or an end within"),
        ({"train": replace(GOOD, source=side([3], []))}, "at least 1 and add up"),
        ({"source_pieces": ("<s>", "<unk>", "</s>", "a", "b")}, "must begin with <unk>, <s>, </s>"),
        ({"target_pieces": (*SPECIAL, "a", "a")}, "each piece once"),
        ({"target_pieces": (*SPECIAL, "a", "b\n")}, "line's end"),
        ({"joining": "glue"}, "Unknown way to join"),
    ],
)
def test_text_that_no_training_could_use_is_not_written(tmp_path, change, message):
    pieces = (*SPECIAL, "a", "b")
    data = TextData("t", ("a", "b"), pieces, pieces, GOOD, BEST, BEST, "sentencepiece", "made")
    store.save(data, tmp_path / "t.safetensors")
    with pytest.raises(PruningError, match=message):
        store.save(replace(data, **change), tmp_path / "u.safetensors")
    assert not (tmp_path / "u.safetensors").exists()


# -- sentences ------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.integers(3, 9), max_size=6), min_size=1, max_size=8), st.data())
def test_padding_and_parts_are_what_a_loop_makes(sentences, data):
    flat = TextSide.of(sentences)
    given = Sentences(torch.from_numpy(flat.tokens), torch.from_numpy(flat.lengths).long())
    rows = data.draw(st.lists(st.integers(0, len(sentences) - 1), max_size=6))
    wanted = [sentences[row] for row in rows]
    longest = max(map(len, wanted), default=0)
    tokens, lengths = given.padded(torch.tensor(rows, dtype=torch.int64))
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [[*w, *[END] * (longest - len(w))] for w in wanted]
    assert lengths.tolist() == [len(w) for w in wanted]
    part = given.part(torch.tensor(rows, dtype=torch.int64))
    assert part.tokens.tolist() == [piece for w in wanted for piece in w]
    assert part.lengths.tolist() == [len(w) for w in wanted]


# -- what is known before -------------------------------------------------------------------------


def test_what_stands_in_for_text_has_its_sizes(tmp_path):
    facts = TextFacts(50, 20, 10, 30, 40, 9.0, 8.0)
    path = tmp_path / "s.safetensors"
    assert stand_in(facts, path, "multi30k", "some text")
    found = prepared_facts(path)
    assert found.certain() == facts.certain()
    assert (found.takes, found.makes) == (30, 40)
    data = load_text(path)
    assert data.name == "some text"
    assert (len(data.source_pieces), len(data.target_pieces)) == (30, 40)
    assert [len(p) for p in (data.train, data.validation, data.test)] == [50, 20, 10]
    assert int(data.train.source.tokens.max()) == 29
    data.text(data.test.target.tokens.tolist())
    assert not replace(facts, train=10**8).fits()
    assert not stand_in(replace(facts, train=10**8), tmp_path / "t", "multi30k")


def test_wmt16_can_be_stood_in_for():
    facts = known_facts({"kind": "wmt16_en_de"})
    assert facts.fits()
    assert (facts.train, facts.validation, facts.test) == (3_534_981, 3003, 2169)
    assert facts.takes == facts.makes == 32_316
    source, lengths, target = facts.example()
    assert (source.shape, lengths.tolist(), target.shape) == ((1, 27), [27], (1, 28))


def test_options_that_change_what_is_known_leave_nothing_known():
    assert known_facts({"kind": "multi30k"}) is KNOWN["multi30k"]
    assert known_facts({"kind": "multi30k", "most_tokens": 48}) is KNOWN["multi30k"]
    for other in ({"vocabulary": 2000}, {"most_tokens": 30}, {"source": "en", "target": "de"}):
        assert known_facts({"kind": "multi30k", **other}) is None
    assert known_facts({"kind": "wmt16_en_de", "path": "mine"}) is None
    assert known_facts({"kind": "parallel_text", **OPTIONS}) is None


# -- Multi30k -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def multi30k(tmp_path_factory):
    """Multi30k, prepared."""
    path = tmp_path_factory.mktemp("data") / "multi30k.safetensors"
    prepare_data("multi30k", {"kind": "multi30k"}, REAL.parent, path)
    return path


@real
def test_multi30k_has_the_pairs_and_tokens_that_are_known(multi30k):
    found, known = prepared_facts(multi30k), KNOWN["multi30k"]
    assert found.certain() == known.certain()
    assert (found.train, found.takes) == (28_964, 4000)
    assert found.source_tokens == pytest.approx(known.source_tokens, abs=1e-3)
    assert found.target_tokens == pytest.approx(known.target_tokens, abs=1e-3)
    data = load_text(multi30k)
    assert data.record["skipped"] == {"training pairs of 48 tokens or more": 36}
    assert data.test.references[0] == "A man in an orange hat starring at something."
    tokens, _ = data.test.target.padded(torch.arange(1000))
    same = [
        data.text(row.tolist()) == ref
        for row, ref in zip(tokens, data.test.references, strict=True)
    ]
    assert sum(same) > 980  # sentencepiece makes one space of two


@real
def test_all_of_multi30ks_test_text_is_joined_as_sentencepiece_joins_it(multi30k):
    lines = [
        list(text_files.lines("m", text_files.find("m", REAL, f"{stem}.{language}")))
        for stem in ("train", "test_2016_flickr")
        for language in ("de", "en")
    ]
    model = _learn("m", lines[0] + lines[1], 4000)
    pieces = load_text(multi30k).source_pieces
    assert pieces == tuple(model.id_to_piece(i) for i in range(4000))
    for ids in model.encode(lines[2] + lines[3]):
        assert join("sentencepiece", "en", [pieces[i] for i in ids]) == model.decode(ids)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A place to download from, and what is pinned of it."""
    folder = tmp_path / "there"
    pins = {}
    for stem, pairs in (("train", TRAIN), ("val", OTHER), ("test_2016_flickr", OTHER)):
        write(folder, stem, pairs, packed=True)
    for name in MULTI30K_TEXTS:
        content = gzip.decompress((folder / f"{name}.gz").read_bytes())
        pins[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(multi30k_reader, "ADDRESS", folder.as_uri())
    monkeypatch.setattr(multi30k_reader, "MULTI30K_TEXTS", pins)
    return folder


def fetch(tmp_path, **options):
    path = tmp_path / "m.safetensors"
    prepare_data("m", {"kind": "multi30k", "vocabulary": 40, **options}, tmp_path / "data", path)
    return path


def test_multi30k_is_downloaded_where_it_is_missing(published, tmp_path):
    folder = tmp_path / "data" / "multi30k"
    folder.mkdir(parents=True)
    plain = folder / "val.de"
    plain.write_bytes(gzip.decompress((published / "val.de.gz").read_bytes()))
    path = fetch(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        "val.de" if name == "val.de" else f"{name}.gz" for name in MULTI30K_TEXTS
    )
    content = path.read_bytes()
    for file in published.iterdir():
        file.unlink()
    assert fetch(tmp_path).read_bytes() == content  # nothing is downloaded again
    turned = load_text(fetch(tmp_path, source="en", target="de"))
    assert turned.languages == ("en", "de")
    assert turned.test.references == tuple(line for line, _ in OTHER)


def test_other_text_than_multi30ks_is_refused_by_name(published, tmp_path):
    fetch(tmp_path)
    damaged = tmp_path / "data/multi30k/val.en.gz"
    damaged.write_bytes(gzip.compress(b"A dog.\n"))
    with pytest.raises(PruningError, match=r"val.en.gz is not the text of Multi30k"):
        fetch(tmp_path)
    damaged.unlink()
    (published / "val.en.gz").write_bytes(gzip.compress(b"Another dog.\n"))
    with pytest.raises(PruningError, match=r"val.en.gz gives is not the text that was expected"):
        fetch(tmp_path)
    assert not damaged.exists()
    (published / "val.en.gz").unlink()
    with pytest.raises(PruningError, match=r"val.en.gz cannot be downloaded .*PRUNING_DATA"):
        fetch(tmp_path)
    assert not list((tmp_path / "data/multi30k").glob(".*"))
    with pytest.raises(PruningError, match="from 'de' to 'en', or from 'en' to 'de'"):
        fetch(tmp_path, source="fr")
