"""From pieces back to plain text, as BLEU is counted on it."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from pruning.data.pieces import SPECIAL
from pruning.errors import PruningError, look_up

SPACE = "▁"  # how sentencepiece writes one
UNKNOWN_TEXT = " ⁇ "  # and what it makes of an unknown piece


def join(joining: str, language: str, pieces: Sequence[str]) -> str:
    """Plain text of pieces.

    Args:
        joining: how, one of :data:`JOININGS`.
        language: of the text.
        pieces: without the sentence's end.

    Raises:
        PruningError: no such way; a package that it needs is not installed.
    """
    return look_up("way to join pieces of text", joining, JOININGS)(language, pieces)


def _sentencepiece(_language: str, pieces: Sequence[str]) -> str:
    """As sentencepiece itself decodes, which a training need not have installed."""
    unknown, *silent = SPECIAL
    parts: list[str] = []
    for piece in pieces:
        if piece in silent:
            continue
        if piece == unknown:
            parts.append(UNKNOWN_TEXT)
            continue
        # The space before the first word is an artefact.
        piece = piece if parts else piece.removeprefix(SPACE)
        if piece:
            parts.append(piece.replace(SPACE, " "))
    return "".join(parts)


def _subword_moses(language: str, pieces: Sequence[str]) -> str:
    """``@@ `` joined, then the Moses detokenizer of a language (reference, section 2.6)."""
    words = re.sub(r"@@ |@@ ?$", "", " ".join(pieces))
    return _detokenizer(language).detokenize(words.split(" "))


@cache
def _detokenizer(language: str) -> Any:
    try:
        from sacremoses import MosesDetokenizer
    except ImportError:
        raise PruningError(
            "Joining tokens of Moses to text needs the package sacremoses: `pip install "
            "'pruning[wmt]'`, or `pip install sacremoses`."
        ) from None
    return MosesDetokenizer(lang=language)


JOININGS: dict[str, Callable[[str, Sequence[str]], str]] = {
    "sentencepiece": _sentencepiece,
    "subword_moses": _subword_moses,
}
