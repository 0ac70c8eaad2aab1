"""From sentences that are ids already to a data set: what is trained on, and what is left out."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from pruning.data.pieces import UNKNOWN
from pruning.data.text_store import SPLITS, TextData, TextSide, TextSplit
from pruning.errors import PruningError


def assembled(
    name: str,
    languages: tuple[str, str],
    sides: Mapping[str, Sequence[TextSide]],
    references: Mapping[str, Sequence[str]],
    *,
    pieces: tuple[tuple[str, ...], tuple[str, ...]],
    joining: str,
    most_tokens: int,
    source: str,
) -> TextData:
    """A data set of sentences that are tokens already.

    Args:
        name: of the data set.
        languages: of source and target.
        sides: by split, source and target.
        references: plain translations, by split.
        pieces: of both vocabularies.
        joining: as of :class:`pruning.data.text_store.TextData`.
        most_tokens: as of :func:`pruning.data.parallel_text.parallel_text`.
        source: where it came from.

    Raises:
        PruningError: a sentence to validate or test with is empty; no training pair is left.
    """
    skipped: Counter[str] = Counter()
    splits = {}
    for split in SPLITS:
        pairs = sides[split]
        if split == "train":
            pairs = _short(name, pairs, most_tokens, skipped)
        else:
            _refuse_empty(name, split, pairs)
        splits[split] = TextSplit(*pairs, references=tuple(references.get(split, ())))
    return TextData(
        name=name,
        languages=languages,
        source_pieces=pieces[0],
        target_pieces=pieces[1],
        **splits,
        joining=joining,
        source=source,
        skipped=dict(sorted(skipped.items())),
        converted=_unknown(splits),
    )


def check_languages(name: str, languages: tuple[str, str]) -> None:
    """Refuse languages that are not two."""
    if languages[0] == languages[1] or not all(languages):
        raise PruningError(
            f"Data set {name!r}: `source` and `target` must be two languages, as file names end; "
            f"they are {languages[0]!r} and {languages[1]!r}."
        )


def _short(
    name: str, sides: Sequence[TextSide], most_tokens: int, skipped: Counter[str]
) -> list[TextSide]:
    """The training pairs that are trained on."""
    lengths = np.stack([side.lengths for side in sides])
    empty, long = (lengths == 0).any(0), (lengths >= most_tokens).any(0) & (lengths > 0).all(0)
    for what, found in (
        ("training pairs with an empty side", empty),
        (f"training pairs of {most_tokens} tokens or more", long),
    ):
        if found.any():
            skipped[what] = int(found.sum())
    kept = ~(empty | long)
    if not kept.any():
        raise PruningError(
            f"Data set {name!r}: none of the {len(kept):,} training pairs has between 1 and "
            f"{most_tokens - 1} tokens on both sides. Raise `most_tokens`, or look at the text."
        )
    return [TextSide(side.tokens[kept.repeat(side.lengths)], side.lengths[kept]) for side in sides]


def _refuse_empty(name: str, split: str, sides: Sequence[TextSide]) -> None:
    for which, side in zip(("source", "target"), sides, strict=True):
        if not len(side):
            raise PruningError(f"Data set {name!r}: the {split} text has no lines.")
        if not side.lengths.all():
            raise PruningError(
                f"Data set {name!r}: line {int(side.lengths.argmin()) + 1} of the {split} text is "
                f"empty on its {which} side, so nothing can be scored there. Take it out on both."
            )


def _unknown(splits: dict[str, TextSplit]) -> dict[str, int]:
    """How many tokens are in no vocabulary, by where they are."""
    found = {
        f"{split} {side} tokens to <unk>": int((getattr(pairs, side).tokens == UNKNOWN).sum())
        for split, pairs in splits.items()
        for side in ("source", "target")
    }
    return {what: count for what, count in found.items() if count}
