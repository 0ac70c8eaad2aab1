"""Text in two languages that is tokens already, as Moses and subword-nmt leave it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pruning.data import text_files
from pruning.data.pieces import SPECIAL, UNKNOWN
from pruning.data.sentence_pairs import assembled, check_languages
from pruning.data.text_store import SPLITS, TextData, TextSide
from pruning.errors import PruningError
from pruning.option_types import Count


def parallel_tokens(
    name: str,
    root: Path,
    path: str,
    source: str,
    target: str,
    train: str,
    validation: str,
    test: str,
    vocabulary: str,
    validation_references: str,
    test_references: str,
    most_tokens: Count = 48,
) -> TextData:
    """Files ``<stem>.<language>`` of tokens with spaces between them, or the same as ``.gz``.

    Tokens of a word but its last end in ``@@``. Translations are joined and put through the Moses
    detokenizer of the target's language. A token that is not in the vocabulary is read as ``<unk>``
    and counted.

    Args:
        name: the data set's key in the configuration.
        root: data folder that a relative ``path`` is under.
        path: the folder.
        source, target: languages to translate from and to, as file names end.
        train, validation, test: stems of file names.
        vocabulary: the file with a piece in each line, for both sides; first ``<unk>``, ``<s>``
            and ``</s>``.
        validation_references, test_references: files with the translations as plain text.
        most_tokens: as of :func:`pruning.data.parallel_text.parallel_text`.

    Raises:
        PruningError: a file is missing, damaged or no UTF-8, or has other numbers of lines than
            what goes with it; a vocabulary that begins otherwise, or has a piece twice; a sentence
            to validate or test with is empty; no training pair is left.
    """
    languages = (source, target)
    check_languages(name, languages)
    folder = Path(root, path)
    pieces = _pieces(name, text_files.find(name, folder, vocabulary))
    ids = {piece: i for i, piece in enumerate(pieces) if i >= len(SPECIAL)}
    stems = dict(zip(SPLITS, (train, validation, test), strict=True))
    plain = {"validation": validation_references, "test": test_references}
    sides, references = {}, {}
    for split, stem in stems.items():
        files = [text_files.find(name, folder, f"{stem}.{language}") for language in languages]
        sides[split] = _both(name, files, ids)
        if split in plain:
            beside = text_files.find(name, folder, plain[split])
            references[split] = [line for line, _ in text_files.together(name, beside, files[1])]
    return assembled(
        name,
        languages,
        sides,
        references,
        pieces=(pieces, pieces),
        joining="subword_moses",
        most_tokens=most_tokens,
        source=f"{source} -> {target} in {path}: {train}, {validation}, {test}",
    )


def _both(name: str, files: list[Path], ids: Mapping[str, int]) -> list[TextSide]:
    """Source and target, one after the other: millions of lines of both at once are gigabytes."""
    sides = [TextSide.of(_ids(text_files.lines(name, file), ids)) for file in files]
    if len(sides[0]) != len(sides[1]):
        raise text_files.unequal(name, files, [len(side) for side in sides])
    return sides


def _ids(lines: Iterable[str], ids: Mapping[str, int]) -> Iterator[list[int]]:
    get = ids.get
    for line in lines:
        # Only at spaces: others that Unicode has stand within tokens.
        yield [get(token, UNKNOWN) for token in line.split(" ") if token]


def _pieces(name: str, path: Path) -> tuple[str, ...]:
    pieces = tuple(text_files.lines(name, path))
    if pieces[: len(SPECIAL)] != SPECIAL:
        raise PruningError(
            f"Data set {name!r}: the vocabulary {path} must begin with the lines "
            f"{', '.join(SPECIAL)}; it begins with {', '.join(pieces[: len(SPECIAL)]) or 'none'}."
        )
    if len(set(pieces)) < len(pieces):
        twice = next(piece for i, piece in enumerate(pieces) if piece in pieces[:i])
        raise PruningError(
            f"Data set {name!r}: the vocabulary {path} has {twice!r} twice. Make it again."
        )
    return pieces
