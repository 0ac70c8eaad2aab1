"""Plain text in two languages, a line for a sentence, cut into pieces by sentencepiece."""

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pruning.data import text_files
from pruning.data.pieces import SPECIAL
from pruning.data.sentence_pairs import assembled, check_languages
from pruning.data.text_store import SPLITS, TextData, TextSide
from pruning.errors import PruningError
from pruning.option_types import Count

RESERVED = "\u2585"  # a mark of sentencepiece's own, and so never a piece
AT_ONCE = 10_000  # sentences, that are lists of numbers before they are an array


def parallel_text(
    name: str,
    root: Path,
    path: str,
    source: str,
    target: str,
    train: str,
    validation: str,
    test: str,
    vocabulary: Count = 4000,
    most_tokens: Count = 48,
) -> TextData:
    """Files ``<stem>.<language>`` in a folder, or the same as ``.gz``.

    One vocabulary for both sides, of byte-pair encoding (Sennrich et al. 2016), is learned on the
    training text of both, with every letter that occurs there; text is normalized as sentencepiece
    does where nothing is said (NFKC), references are not.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the folder.
        source, target: languages to translate from and to, as file names end.
        train, validation, test: stems of file names.
        vocabulary: pieces, ``<unk>``, ``<s>`` and ``</s>`` among them.
        most_tokens: training pairs with as many tokens on a side, or more, are left out and
            counted; so are those that have none. Others are never cut.

    Raises:
        PruningError: a file is missing, damaged or no UTF-8, or has other numbers of lines than its
            translation; a sentence to validate or test with is empty; no training pair is left;
            the text has not so many pieces, or more letters.
    """
    languages = (source, target)
    check_languages(name, languages)
    folder = Path(root, path)
    stems = dict(zip(SPLITS, (train, validation, test), strict=True))
    lines = {}
    for split, stem in stems.items():
        files = [text_files.find(name, folder, f"{stem}.{language}") for language in languages]
        lines[split] = list(text_files.together(name, *files))
    encoder = _Encoder(name, lines["train"], vocabulary)
    return assembled(
        name,
        languages,
        {
            split: [TextSide.of(encoder(row[i] for row in lines[split])) for i in (0, 1)]
            for split in SPLITS
        },
        {split: [row[1] for row in lines[split]] for split in SPLITS[1:]},
        pieces=(encoder.pieces, encoder.pieces),
        joining="sentencepiece",
        most_tokens=most_tokens,
        source=f"{source} -> {target} in {path}: {train}, {validation}, {test}",
    )


class _Encoder:
    """Sentences to ids, by a vocabulary that is learned on training text."""

    def __init__(self, name: str, rows: Sequence[tuple[str, ...]], vocabulary: int) -> None:
        self.model = _learn(name, [line for row in rows for line in row], vocabulary)
        self.pieces = tuple(self.model.id_to_piece(i) for i in range(len(self.model)))

    def __call__(self, sentences: Iterable[str]) -> Iterator[list[int]]:
        sentences = iter(sentences)
        while some := list(islice(sentences, AT_ONCE)):
            yield from self.model.encode(some, out_type=int, num_threads=1)


def _learn(name: str, sentences: Sequence[str], vocabulary: int) -> Any:
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    # Sentences that are longer than it expects, or have its own mark in them, it would leave out.
    longest = max((len(text.encode()) for text in sentences), default=0)
    unknown, begin, end = SPECIAL
    written = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=(text.replace(RESERVED, " ") for text in sentences),
            model_writer=written,
            model_type="bpe",
            vocab_size=vocabulary,
            character_coverage=1.0,
            max_sentence_length=max(longest, 1),
            num_threads=1,
            minloglevel=2,
            unk_piece=unknown,
            bos_piece=begin,
            eos_piece=end,
        )
    except RuntimeError as error:
        raise _unlearned(name, vocabulary, str(error)) from None
    return SentencePieceProcessor(model_proto=written.getvalue())


def _unlearned(name: str, vocabulary: int, told: str) -> PruningError:
    least = re.search(r"required_chars[^\d]*(\d+) vs (\d+)|smaller than.*?(\d+)", told)
    most = re.search(r"value <= (\d+)", told)
    if most:
        what = f"the training text has no more than {most[1]}. Lower it"
    elif least:
        what = "the training text has more letters than that. Raise it"
    else:
        what = f"sentencepiece learns none from the training text ({' '.join(told.split())})"
    return PruningError(f"Data set {name!r}: `vocabulary` is {vocabulary} pieces, and {what}.")
