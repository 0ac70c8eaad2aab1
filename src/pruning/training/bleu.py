"""BLEU of translations, by sacrebleu alone, in the two readings that published numbers have."""

from collections.abc import Sequence
from functools import cache
from typing import Any

# Renda et al. 2020 count lower-cased text with international tokenization (reference, section 2.6);
# what sacrebleu does where nothing is said is lower, and what most papers since then report.
READINGS = {
    "bleu": {"lowercase": True, "tokenize": "intl"},
    "bleu_13a": {"lowercase": False, "tokenize": "13a"},
}


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """BLEU from 0 to 100 in each of :data:`READINGS`.

    Args:
        hypotheses: plain text, a line for each sentence.
        references: one for each.
    """
    return {
        name: metric.corpus_score(list(hypotheses), [list(references)]).score
        for name, metric in _metrics().items()
    }


@cache
def signatures() -> dict[str, str]:
    """What sacrebleu calls each reading, its version included: it makes numbers comparable."""
    found = {}
    for name, metric in _metrics().items():
        metric.corpus_score([""], [[""]])  # a signature says how many references there were
        found[name] = str(metric.get_signature())
    return found


def _metrics() -> dict[str, Any]:
    from sacrebleu.metrics import BLEU  # here, so that only who translates waits for it

    return {name: BLEU(**options) for name, options in READINGS.items()}
