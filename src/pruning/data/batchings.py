"""Which way examples become batches, by the `kind` in a recipe's batches. No torch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pruning.data.batching import Batching
from pruning.data.sentence_batching import SentenceBatching
from pruning.errors import PruningError, look_up

AnyBatching = Batching | SentenceBatching
IMAGES = "images"
KINDS: dict[str, type[AnyBatching]] = {IMAGES: Batching, "sentences": SentenceBatching}


def batching_from_dict(values: Mapping[str, Any]) -> AnyBatching:
    """A way to batch from plain values; without ``kind`` it is that of images.

    Raises:
        PruningError: an unknown kind, or a key that goes with another; see also the kinds.
    """
    values = dict(values)
    kind = values.pop("kind", IMAGES)
    found = look_up("kind of batches", kind, KINDS)
    known = {f.name for f in fields(found) if f.init}
    for key in values:
        if key not in known:
            raise PruningError(
                f"batches: {key!r} does not go with batches of {kind}. Take it out, or say another "
                f"`kind` ({', '.join(KINDS)}); {kind} have: {', '.join(sorted(known))}."
            )
    return found.from_dict(values)
