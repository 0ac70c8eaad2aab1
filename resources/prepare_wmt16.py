"""Make the text of WMT16, English to German, as Renda et al. (2020) trained GNMT on it.

    pip install 'pruning[wmt]'
    python resources/prepare_wmt16.py

Europarl v7, Common Crawl and News Commentary v11 are downloaded, put together in this order, cut
into tokens as Moses does, rid of pairs that are too long or too unlike, and cut into 32,000 merges
of byte pairs that are learned on both languages (reference, section 2.1). ``wmt16_en_de/`` in the
data folder ($PRUNING_DATA, or resources/data) gets what the data set ``wmt16_en_de`` is read from.
Each step leaves its files when they are whole, and is passed over where they are; so a run that
was broken off goes on with the step that it was in.

Not run as a whole: that needs a network, some 20 GB of disk and several hours. What was run are
its steps, on small files. Moses' Perl scripts and subword-nmt at the commits that the authors name
are replaced by the packages sacremoses and subword-nmt, and Moses' cleaning of a corpus by the
function here, so that counts may differ a little. The last step compares them with those that were
published, and says by how much.
"""

import argparse
import os
import shutil
import sys
import tarfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from itertools import chain, islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from pruning.data import text_files
from pruning.data.pieces import SPECIAL
from pruning.data.text_sets import WMT16
from pruning.errors import PruningError
from pruning.files import atomic_path
from pruning.study.study import data_root

LANGUAGES = ("en", "de")
# Each archive, and its files but for the language.
CORPORA = {
    "http://www.statmt.org/europarl/v7/de-en.tgz": "europarl-v7.de-en",
    "http://www.statmt.org/wmt13/training-parallel-commoncrawl.tgz": "commoncrawl.de-en",
    "http://data.statmt.org/wmt16/translation-task/training-parallel-nc-v11.tgz": (
        "news-commentary-v11.de-en"
    ),
}
# As sacrebleu calls them, and how many sentences the authors take of each.
TESTS = {"newstest2014": ("wmt14/full", 3003), "newstest2015": ("wmt15", 2169)}
MERGES = 32_000
LEAST, MOST, RATIO, LONGEST_WORD = 1, 80, 9, 1000  # of clean-corpus-n.perl, as it was called
MOST_TOKENS = 48
EXPECTED = {"pieces in the vocabulary": 32_316, "pairs below 48 tokens": 3_534_981}
AT_ONCE = 1000  # lines that a process works on
NAME = "wmt16_en_de"


def step(what: str, outputs: Iterable[Path], make: Callable[..., None]) -> None:
    """Make some files, unless they are all there.

    Args:
        what: is done, for the screen.
        outputs: the files.
        make: is called with a path for each, which becomes it when all are written.
    """
    outputs = list(outputs)
    if all(path.exists() for path in outputs):
        print(f"there: {', '.join(path.name for path in outputs)}")
        return
    print(f"{what} ...", flush=True)
    with ExitStack() as stack:
        make(*(stack.enter_context(atomic_path(path)) for path in outputs))


def download(address: str, path: Path) -> None:
    """One file."""
    with urllib.request.urlopen(address, timeout=60) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file)
        expected = answer.headers.get("Content-Length")
    if expected is not None and path.stat().st_size != int(expected):
        raise PruningError(f"{address} broke off. Run this again.")


def unpack(archive: Path, stem: str, *outputs: Path) -> None:
    """The two sides of a corpus, wherever in an archive they are."""
    left = {f"{stem}.{language}": path for language, path in zip(LANGUAGES, outputs, strict=True)}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = left.pop(member.name.rpartition("/")[2], None) if member.isfile() else None
            if path is not None:
                with open(path, "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
    if left:
        raise PruningError(f"{archive} has no {', '.join(left)}. Delete it and run this again.")


def concatenate(sources: Iterable[Path], output: Path) -> None:
    """Files one after the other, each of which has to end a line."""
    with open(output, "wb") as file:
        for source in sources:
            content = source.read_bytes()
            if not content.endswith(b"\n"):
                raise PruningError(f"{source} ends within a line. Delete it and run this again.")
            file.write(content)


def rewritten(source: Path, output: Path, change: Callable[[str], str], processes: int = 1) -> None:
    """A file with every line changed by a function, which several processes share."""
    lines = text_lines(source)
    chunks = iter(lambda: list(islice(lines, AT_ONCE)), [])
    with ExitStack() as stack:
        file = stack.enter_context(open(output, "w", encoding="utf-8", newline="\n"))
        spread = stack.enter_context(Pool(processes)).imap if processes > 1 else map
        for part in spread(partial(_changed, change), chunks):
            file.writelines(f"{line}\n" for line in part)


def _changed(change: Callable[[str], str], lines: list[str]) -> list[str]:
    return [change(line) for line in lines]


def text_lines(path: Path) -> Iterator[str]:
    """Lines of UTF-8 that a line feed ends. Carriage returns are spaces, as to Moses."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.removesuffix(b"\n").decode().replace("\r", " ")
            except UnicodeDecodeError as error:
                raise PruningError(f"Line {number} of {path} is no UTF-8 ({error}).") from None


def tokenized(language: str, line: str) -> str:
    """A line as Moses' tokenizer cuts it, with its escapes, spaces between tokens."""
    return _tokenizer(language).tokenize(line, return_str=True)


@cache
def _tokenizer(language: str) -> Any:
    from sacremoses import MosesTokenizer

    return MosesTokenizer(lang=language)


def clean(sources: Iterable[Path], *outputs: Path) -> None:
    """The pairs that Moses' clean-corpus-n.perl keeps, told to keep 1 to 80 tokens.

    Both sides are that long, neither has nine times as many tokens as the other, and no token has
    more than 1,000 letters. Bars, which mean something to Moses, are taken out unless the first
    pair has one.
    """
    factored, kept, count = None, 0, 0
    with ExitStack() as stack:
        files = [
            stack.enter_context(open(path, "w", encoding="utf-8", newline="\n")) for path in outputs
        ]
        for pair in zip(*map(text_lines, sources), strict=True):
            if factored is None:
                factored = any("|" in line for line in pair)
            words = [(line if factored else line.replace("|", "")).split() for line in pair]
            count += 1
            if _is_clean(words):
                kept += 1
                for file, side in zip(files, words, strict=True):
                    file.write(" ".join(side) + "\n")
    print(f"{kept:,} of {count:,} pairs are kept")


def _is_clean(pair: list[list[str]]) -> bool:
    counts = [len(words) for words in pair]
    if not all(LEAST <= count <= MOST for count in counts) or max(counts) > RATIO * min(counts):
        return False
    return all(len(word) <= LONGEST_WORD for words in pair for word in words)


def learn(sources: Iterable[Path], output: Path) -> None:
    """Merges of byte pairs, learned on several files together."""
    from subword_nmt.learn_bpe import learn_bpe

    with open(output, "w", encoding="utf-8", newline="\n") as file:
        learn_bpe(chain.from_iterable(map(text_lines, sources)), file, MERGES)


def cut(merges: Path, line: str) -> str:
    """A line of tokens in pieces."""
    return _cutter(merges).process_line(line)


@cache
def _cutter(merges: Path) -> Any:
    from subword_nmt.apply_bpe import BPE

    with open(merges, encoding="utf-8", newline="\n") as file:
        return BPE(file)


def vocabulary(sources: Iterable[Path], output: Path) -> None:
    """All pieces of some files, the most frequent first, after those that all vocabularies have."""
    counts: Counter[str] = Counter()
    for line in chain.from_iterable(map(text_lines, sources)):
        counts.update(piece for piece in line.split(" ") if piece)
    for piece in SPECIAL:
        del counts[piece]
    ranked = sorted(counts, key=lambda piece: (-counts[piece], piece))
    output.write_bytes("".join(f"{piece}\n" for piece in [*SPECIAL, *ranked]).encode())


def test_text(name: str, *outputs: Path) -> None:
    """A test set as sacrebleu has it, which downloads it."""
    from sacrebleu.utils import get_reference_files, get_source_file

    known, count = TESTS[name]
    pair = "-".join(LANGUAGES)
    found = [get_source_file(known, pair), get_reference_files(known, pair)[0]]
    for source, output in zip(found, outputs, strict=True):
        first(Path(source), count, output)


def first(source: Path, count: int, output: Path) -> None:
    """The first lines of a file; what is left out is said."""
    lines = list(text_lines(source))
    if len(lines) < count:
        raise PruningError(f"{source} has {len(lines)} lines, and {count} are wanted.")
    if len(lines) > count:
        print(f"{source}: the first {count:,} of {len(lines):,} lines are taken")
    output.write_bytes("".join(f"{line}\n" for line in lines[:count]).encode())


def count(folder: Path) -> dict[str, int]:
    """What of the finished folder is compared with published counts."""
    sides = [folder / f"train.tok.clean.bpe.{MERGES}.{language}" for language in LANGUAGES]
    pairs = text_files.together(NAME, *sides)
    short = sum(all(0 < len(line.split(" ")) < MOST_TOKENS for line in pair) for pair in pairs)
    pieces = sum(1 for _ in text_lines(folder / f"vocab.bpe.{MERGES}"))
    return dict(zip(EXPECTED, (pieces, short), strict=True))


def compare(found: dict[str, int]) -> None:
    """Say how counts differ from those that were published."""
    for what, expected in EXPECTED.items():
        change = found[what] / expected - 1
        told = (
            "as published" if found[what] == expected else f"published: {expected:,}; {change:+.2%}"
        )
        print(f"{what}: {found[what]:,} ({told})")


def make(folder: Path, processes: int) -> None:
    """All steps.

    Args:
        folder: to make it in.
        processes: that cut text.
    """

    def both(stem: str) -> list[Path]:
        return [folder / f"{stem}.{language}" for language in LANGUAGES]

    def each(what: str, before: str, after: str, change: Callable[..., str], *given: Any) -> None:
        for language, source, output in zip(LANGUAGES, both(before), both(after), strict=True):
            by = partial(change, *(given or (language,)))
            step(
                f"{what} {source.name}",
                [output],
                partial(rewritten, source, change=by, processes=processes),
            )

    for address, stem in CORPORA.items():
        archive = folder / "archives" / address.rpartition("/")[2]
        step(f"downloading {address}", [archive], partial(download, address))
        step(f"unpacking {archive.name}", both(f"raw/{stem}"), partial(unpack, archive, stem))
    for index, output in enumerate(both("train")):
        parts = [both(f"raw/{stem}")[index] for stem in CORPORA.values()]
        step("putting together", [output], partial(concatenate, parts))
    each("cutting into tokens:", "train", "train.tok", tokenized)
    step("cleaning", both("train.tok.clean"), partial(clean, both("train.tok")))
    merges = folder / f"bpe.{MERGES}"
    step("learning merges", [merges], partial(learn, both("train.tok.clean")))
    each("cutting into pieces:", "train.tok.clean", f"train.tok.clean.bpe.{MERGES}", cut, merges)
    step(
        "listing pieces",
        [folder / f"vocab.bpe.{MERGES}"],
        partial(vocabulary, both(f"train.tok.clean.bpe.{MERGES}")),
    )
    for name in TESTS:
        step(f"getting {name}", both(name), partial(test_text, name))
        each("cutting into tokens:", name, f"{name}.tok", tokenized)
        each("cutting into pieces:", f"{name}.tok", f"{name}.tok.bpe.{MERGES}", cut, merges)
    compare(count(folder))


def main() -> None:
    """Make it in the data folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    try:
        make(data_root() / WMT16, arguments.processes)
    except (PruningError, OSError, ValueError) as error:
        sys.exit(f"{error} Steps that were finished are not done again.")


if __name__ == "__main__":
    main()
