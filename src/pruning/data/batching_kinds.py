"""The kinds of batches that a recipe may have. No torch here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pruning.data.batching import Batching
from pruning.data.sentence_batching import SentenceBatching
from pruning.errors import PruningError, look_up

KINDS = {"images": Batching, "sentences": SentenceBatching}


def batching_from_dict(values: Mapping[str, Any]) -> Batching | SentenceBatching:
    """How examples become batches, from plain values, as a study file has them.

    ``kind`` says which: ``images`` without it, which is written by none of their values.

    Raises:
        PruningError: an unknown kind, a key that goes with another, or see the kinds themselves.
    """
    values = dict(values)
    kind = values.pop("kind", "images")
    found = look_up("kind of batches", kind, KINDS)
    known = {f.name for f in fields(found) if f.init}
    for key in values:
        if key not in known:
            fits = [k for k, other in KINDS.items() if key in {f.name for f in fields(other)}]
            hint = f", or say `kind: {fits[0]}`" if fits else ""
            raise PruningError(
                f"batches: {key!r} does not go with `kind: {kind}`. Take it out{hint}."
            )
    return found.from_dict(values)
