"""Beam search against one in plain lists, and on distributions made by hand."""

import inspect
import math
from dataclasses import dataclass

import pytest
import torch

from pruning.data.pieces import BEGIN, END
from pruning.models.beam_search import beam_search
from tests.naive_gnmt import Naive
from tests.test_gnmt import SOURCES, network, padded


def decided(seed):
    """A network whose translations end, some of them."""
    module = network(2, context=bool(seed % 2), hidden=6, seed=seed).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(4 if parameter.requires_grad and parameter.ndim else 1)
    return module


def naive_search(decode, source, beam, most_steps, length_penalty, coverage_penalty):
    """(best pieces without the end, whether all had ended); ``decode`` gives steps of a prefix."""
    hypotheses = [([], 0.0)]
    for _ in range(most_steps):
        longer = []
        for pieces, log_p in hypotheses:
            if pieces and pieces[-1] == END:
                longer.append((pieces, log_p))
                continue
            logits = decode(source, [BEGIN, *pieces])[-1][0]
            each = torch.log_softmax(logits, 0).tolist()
            longer += [([*pieces, piece], log_p + p) for piece, p in enumerate(each)]
        hypotheses = sorted(longer, key=lambda h: -h[1])[:beam]
        if all(pieces[-1] == END for pieces, _ in hypotheses):
            break
    else:
        best = max(hypotheses, key=lambda h: h[1])[0]
        return [p for p in best if p != END], False

    def score(hypothesis):
        pieces, log_p = hypothesis
        steps = decode(source, [BEGIN, *pieces[:-1]])
        seen = [sum(float(weights[j]) for _, weights in steps) for j in range(len(source))]
        coverage = sum(math.log(min(s, 1.0)) for s in seen if s > 0)
        penalty = ((5 + len(pieces)) / 6) ** length_penalty
        return log_p / penalty + coverage_penalty * coverage

    return max(hypotheses, key=score)[0][:-1], True


@pytest.mark.parametrize("beam", [1, 3, 5])
def test_it_finds_what_a_search_in_plain_lists_finds(beam):
    kinds = set()
    for seed in (4, 6, 7, 13):
        module = decided(seed)
        naive = Naive(module, 2, bool(seed % 2))
        penalties = ((0.6, 0.1), (1.5, 2.0))[seed % 2]
        with torch.no_grad():
            given = *padded(SOURCES), *penalties
            found = beam_search(
                module, *given[:2], beam=beam, most_steps=10,
                length_penalty=given[2], coverage_penalty=given[3],
            )  # fmt: skip
        for source, pieces in zip(SOURCES, found, strict=True):
            expected, ended = naive_search(naive.decode, source, beam, 10, *penalties)
            assert pieces == expected
            kinds.add(ended)
    assert kinds == {True, False}


@dataclass(frozen=True)
class At:
    """Which pieces each row has."""

    prefixes: tuple

    def rows(self, index):
        return At(tuple(self.prefixes[i] for i in index.tolist()))


class Written:
    """A decoder whose probabilities are written down by prefix; what is not, is impossible."""

    def __init__(self, table, attention=None):
        self.table, self.attention = table, attention or {}

    def encode(self, source, lengths):
        return At(tuple(() for _ in source))

    def step(self, tokens, at):
        prefixes = tuple(
            p if not p and t == BEGIN else (*p, t)
            for p, t in zip(at.prefixes, tokens.tolist(), strict=True)
        )
        rows = [self.table.get(prefix, {END: 1.0}) for prefix in prefixes]
        logits = torch.tensor([[row.get(piece, 0.0) for piece in range(8)] for row in rows]).log()
        attention = torch.tensor([self.attention.get(prefix, [0.5, 0.5]) for prefix in prefixes])
        return logits, attention, At(prefixes)


def search(table, attention=None, **options):
    source, lengths = torch.tensor([[3, 4]]), torch.tensor([2])
    options = {"beam": 2, "length_penalty": 0.6, "coverage_penalty": 0.0} | options
    return beam_search(Written(table, attention), source, lengths, **options)[0]


def test_scores_are_normalized_only_when_all_hypotheses_have_ended():
    """The long one is better by its normalized score, and worse by its probability."""
    table = {
        (): {5: 0.6, 6: 0.4},
        (5,): {END: 0.5, 5: 0.5},
        (6,): {6: 1.0},
        (6, 6): {6: 1.0},
    }
    # After two steps: 6 6 (0.4), and 5 + end or 5 5 (0.3 each); the first two go on.
    assert search(table) == [6, 6, 6]
    # Normalized at every step, the ended one (0.3, length 2) would be behind 5 5 and fall out or
    # stay by its rank; by log P alone the beam keeps 6 6 and one of those of 0.3.
    likely = {(): {5: 0.45, 6: 0.55}, (5,): {END: 1.0}, (6,): {6: 1.0}, (6, 6): {6: 1.0}}
    likely |= {(6, 6, 6): {6: 1.0}, (6, 6, 6, 6): {END: 1.0}}
    ratio = math.log(0.55) / ((5 + 5) / 6) ** 0.6, math.log(0.45) / (7 / 6) ** 0.6
    assert ratio[0] > ratio[1]
    assert search(likely) == [6, 6, 6, 6]
    assert search(likely, length_penalty=0.0) == [6, 6, 6, 6]
    flat = likely | {(): {5: 0.52, 6: 0.48}}
    assert search(flat, length_penalty=0.0) == [5]
    assert search(flat, length_penalty=0.6) == [6, 6, 6, 6]
    # With three steps at most the second has not ended: log P decides, whatever the lengths.
    assert search(flat, length_penalty=0.6, most_steps=3) == [5]


def test_length_counts_the_end_and_coverage_what_was_attended_to():
    table = {(): {5: 0.52, 6: 0.48}, (5,): {END: 1.0}, (6,): {END: 1.0}}
    assert search(table, coverage_penalty=0.1) == [5]
    # 5 reads the first word alone, in both steps; 6 each of them once.
    seen = {(5,): [1.0, 1e-9], (6,): [0.0, 1.0], (): [1.0, 1e-9]}
    assert search(table, seen, coverage_penalty=0.1) == [6]
    # What was not attended to at all counts 0.
    never = {(5,): [1.0, 0.0], (6,): [0.0, 1.0], (): [1.0, 0.0]}
    assert search(table, never, coverage_penalty=0.1) == [5]


def test_sentences_that_have_ended_leave_and_the_others_go_on():
    module = decided(7)
    with torch.no_grad():
        together = beam_search(module, *padded(SOURCES), most_steps=9)
        alone = [beam_search(module, *padded([s]), most_steps=9)[0] for s in SOURCES]
    assert together == alone
    assert len({len(pieces) for pieces in together}) > 1


@pytest.mark.parametrize("penalties", [(0.6, 0.1), (1.0, 0.0), (0.3, 1.0)])
def test_the_better_score_is_by_the_formula_to_a_percent(penalties):
    """Of two translations, of probabilities p and 1 - p, the one that the formula prefers."""
    a, b = penalties
    # 5 and its end read (0.7, 0.3) twice; 6 6 6 and its end (0.1, 0.9) four times.
    first = ((5 + 2) / 6) ** a, b * (math.log(1.0) + math.log(0.3 + 0.3))
    second = ((5 + 4) / 6) ** a, b * (math.log(0.7 + 0.1 + 0.1 + 0.1) + math.log(1.0))

    def gap(p):
        return math.log(p) / first[0] + first[1] - math.log(1 - p) / second[0] - second[1]

    low, high = 1e-9, 1 - 1e-9
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if gap(middle) > 0 else (middle, high)
    attention = {
        (): [0.7, 0.3], (5,): [0.7, 0.3], (6,): [0.1, 0.9], (6, 6): [0.1, 0.9],
        (6, 6, 6): [0.1, 0.9], (5, END): [0.9, 0.9], (5, END, END): [0.9, 0.9],
    }  # fmt: skip
    for p, expected in ((low * 0.999, [6, 6, 6]), (min(1.0, low * 1.001), [5])):
        table = {(): {5: p, 6: 1 - p}, (5,): {END: 1.0}, (6,): {6: 1.0}, (6, 6): {6: 1.0}}
        found = search(table, attention, length_penalty=a, coverage_penalty=b)
        assert found == expected


def test_the_published_search_is_what_nothing_else_is_said_for():
    told = {n: p.default for n, p in inspect.signature(beam_search).parameters.items()}
    assert {n: v for n, v in told.items() if v is not inspect.Parameter.empty} == {
        "beam": 5, "most_steps": 150, "length_penalty": 0.6, "coverage_penalty": 0.1,
    }  # fmt: skip
