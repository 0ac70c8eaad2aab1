"""Batches of sentences of one length: what they hold, in which order, and that nothing is lost."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruning.data.batching import Batching
from pruning.data.batching_kinds import batching_from_dict
from pruning.data.pieces import BEGIN, END
from pruning.data.sentence_batches import (
    ScoringSentences,
    SentenceOrder,
    SentenceStream,
    buckets,
    sentence_batch,
)
from pruning.data.sentence_batching import SentenceBatching
from pruning.data.sentences import Pairs, Sentences
from pruning.errors import PruningError
from pruning.seeds import generator
from pruning.share import Share
from pruning.training.recipe import Recipe


def sentences(lengths):
    """Each of its own pieces, so that a batch shows what it is of."""
    lengths = torch.tensor(lengths)
    rows = torch.arange(len(lengths)).repeat_interleave(lengths)
    return Sentences((rows + 3).int(), lengths)


def pairs(sources, targets=None):
    return Pairs(sentences(sources), sentences(targets or sources))


RANDOM = np.random.default_rng(0)
SOURCES, TARGETS = (RANDOM.integers(1, 12, 200).tolist() for _ in range(2))


def of(batch):
    """Which pairs a batch has."""
    return (batch.given[:, 1:2].flatten() - 3).tolist()


def all_of(batches):
    return list(chain.from_iterable(map(of, batches)))


# -- plain values ---------------------------------------------------------------------------------


def test_a_recipe_says_which_kind_of_batches_it_has():
    values = {"epochs": 2, "schedule": {"learning_rate": 0.1}}
    images = Recipe.from_dict({**values, "batches": {"size": 4, "flip": True}})
    assert images.batches == Batching(4, flip=True)
    assert "kind" not in images.to_dict()["batches"]
    assert batching_from_dict({"kind": "images", "size": 4}) == Batching(4)
    told = {"kind": "sentences", "size": 4, "width": 10, "of": "both"}
    text = Recipe.from_dict({**values, "batches": told})
    assert text.batches == SentenceBatching(4, 10, "both")
    assert text.to_dict()["batches"] == {**told, "epoch_boundary": "straddle"}
    assert Recipe.from_dict(text.to_dict()) == text
    assert text.timeline(10).steps_per_epoch == Fraction(10, 4)
    assert text.batch_sizes(10) == [4]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 4, "width": 3}, "'width' does not go with `kind: images`.*`kind: sentences`"),
        ({"kind": "sentences", "size": 4, "flip": True}, "'flip' does not go with `kind: sent"),
        ({"kind": "sentences", "size": 4, "heigth": 1}, "'heigth' does not go .* Take it out.$"),
        ({"kind": "sentence", "size": 4}, "Did you mean 'sentences'"),
        ({"kind": "sentences", "size": 0}, "batches.size must be at least 1"),
        ({"kind": "sentences", "size": 4, "width": 0}, "batches.width must be at least 1"),
        ({"kind": "sentences", "size": 4, "of": "target"}, r"Unknown side .*\(batches.of\)"),
        ({"kind": "sentences", "size": 4, "epoch_boundary": "keep"}, "straddle epochs"),
    ],
)
def test_wrong_values_are_refused(values, message):
    with pytest.raises(PruningError, match=message):
        batching_from_dict(values)


def test_too_few_pairs_are_refused():
    with pytest.raises(PruningError, match="No training pair"):
        SentenceBatching(4).steps_per_epoch(0)
    with pytest.raises(PruningError, match="each of the 2 training pairs 150 times"):
        SentenceStream(pairs([1, 2]), SentenceBatching(300), 0, ())


def test_reading_them_imports_no_torch_and_no_numpy():
    code = (
        "import sys, pruning.training.recipe, pruning.data.sources, pruning.data.known; "
        "assert not {'torch', 'numpy', 'sentencepiece', 'sacrebleu'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- buckets --------------------------------------------------------------------------------------


def test_buckets_go_by_source_or_by_both_sides():
    some = pairs([1, 9, 10, 25, 3], [1, 9, 9, 3, 29])
    assert buckets(some, SentenceBatching(1)).tolist() == [0, 2, 3, 4, 1]
    assert buckets(some, SentenceBatching(1, 10)).tolist() == [0, 0, 1, 2, 0]
    # The second's target has 10 with its beginning, the last's 30.
    assert buckets(some, SentenceBatching(1, 10, "both")).tolist() == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("counts", "size", "expected"),
    [
        ([5, 4, 6], 4, [0, 1, 2]),
        ([5, 4, 3], 4, [0, 1, 1]),  # the longest joins the next shorter
        ([5, 2, 1], 4, [0, 0, 0]),
        ([5, 3, 1], 4, [0, 1, 1]),  # which together are enough
        ([3, 4, 5], 4, [0, 0, 1]),  # the shortest joins the next longer
        ([1, 1, 9, 1, 9, 1], 4, [0, 0, 0, 0, 1, 1]),
        ([1, 1], 4, [0, 0]),
        ([4], 4, [0]),
    ],
)
def test_rare_lengths_join_their_neighbours(counts, size, expected):
    lengths = [length for length, count in enumerate(counts, start=1) for _ in range(count)]
    found = buckets(pairs(lengths), SentenceBatching(size))
    by_length = dict(zip(lengths, found.tolist(), strict=True))
    assert list(by_length.values()) == expected


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_every_bucket_fills_a_batch_if_all_pairs_do(lengths, size):
    found = buckets(pairs(lengths), SentenceBatching(size))
    sizes = np.bincount(found)
    assert sizes.min() >= min(size, len(lengths))
    for one, a in zip(lengths, found.tolist(), strict=True):
        for other, b in zip(lengths, found.tolist(), strict=True):
            assert a <= b or one > other  # in order of length


@pytest.mark.parametrize("batching", [SentenceBatching(7), SentenceBatching(7, 4, "both")])
def test_a_batch_is_of_one_bucket(batching):
    stream = SentenceStream(pairs(SOURCES, TARGETS), batching, 0, ("dense",))
    bucket = buckets(stream.pairs, batching)
    for index in range(120):
        batch = stream.batch(index)
        assert len(batch) == stream.size(index) == 7
        assert len(set(bucket[of(batch)])) == 1
        if batching.width == 1:
            assert len(set(batch.source_lengths.tolist())) == 1


def test_what_a_batch_holds():
    some = pairs([2, 3], [3, 1])
    batch = sentence_batch(some, torch.tensor([1, 0]))
    assert batch.source.tolist() == [[4, 4, 4], [3, 3, END]]
    assert batch.source_lengths.tolist() == [3, 2]
    assert batch.given.tolist() == [[BEGIN, 4, END, END], [BEGIN, 3, 3, 3]]
    assert batch.wanted.tolist() == [[4, END, END, END], [3, 3, 3, END]]
    assert batch.lengths.tolist() == [2, 4]
    assert len(batch) == 2
    nothing = sentence_batch(some, torch.tensor([], dtype=torch.int64))
    assert (nothing.source.shape, nothing.given.shape, len(nothing)) == ((0, 0), (0, 1), 0)


# -- order ----------------------------------------------------------------------------------------


def by_hand(bucket, size, seed, stream, epochs):
    """The definition: pair after pair into its bucket, which is emptied when it is full."""
    filled = {}
    for epoch in range(epochs):
        source = generator(seed, *stream, "order", epoch)
        for row in torch.randperm(len(bucket), generator=source).tolist():
            held = filled.setdefault(int(bucket[row]), [])
            held.append(row)
            if len(held) == size:
                yield filled.pop(int(bucket[row]))


@given(
    bucket=st.lists(st.integers(0, 3), min_size=1, max_size=25),
    size=st.integers(1, 12),
    seed=st.integers(0, 3),
)
def test_batches_are_those_that_fill_up_one_after_the_other(bucket, size, seed):
    bucket = np.unique(bucket, return_inverse=True)[1].astype(np.uint16)
    epochs = 9
    expected = list(by_hand(bucket, size, seed, ("a", 1), epochs))
    order = SentenceOrder(bucket, size, seed, ("a", 1))
    assert [order.rows(index).tolist() for index in range(len(expected))] == expected
    # What is left in the buckets is all that some pairs were seen more often than others.
    seen = Counter(row for rows in expected for row in rows)
    for kind in set(bucket.tolist()):
        members = [row for row, other in enumerate(bucket) if other == kind]
        left = epochs * len(members) - sum(seen[row] for row in members)
        assert 0 <= left < size
        assert min(seen[row] for row in members) >= epochs - left
        assert max(seen[row] for row in members) <= epochs


@pytest.mark.parametrize(
    ("sources", "size"),
    [([5] * 9, 4), ([1, 2, 2, 3, 3, 3], 4), ([1, 2], 1), ([4], 3), ([1, 1, 2], 10), (SOURCES, 32)],
    ids=["one_bucket", "small_buckets", "one_by_one", "one_pair", "few_pairs", "many"],
)
def test_every_pair_is_seen_as_often_but_for_what_is_carried(sources, size):
    stream = SentenceStream(pairs(sources), SentenceBatching(size), 0, ("dense",))
    epochs, count = 60, len(sources)
    members = Counter(stream.order.bucket.tolist())
    made = int(sum(epochs * n // size for n in members.values()))
    seen = Counter(row for index in range(made) for row in of(stream.batch(index)))
    assert 0 <= epochs * count - sum(seen.values()) < size * len(members)
    for row, bucket in enumerate(stream.order.bucket.tolist()):
        # Of its bucket less than a batch is carried, spread over its pairs.
        waits = -(-size // members[bucket])
        assert epochs - waits <= seen[row] <= epochs


def test_fewer_pairs_than_a_batch_are_in_it_several_times():
    stream = SentenceStream(pairs([1, 1, 2]), SentenceBatching(12), 0, ())
    assert Counter(of(stream.batch(0))) == {0: 4, 1: 4, 2: 4}


def test_a_batch_is_a_function_of_its_position():
    batching = SentenceBatching(16, 3)
    some = pairs(SOURCES, TARGETS)
    stream = SentenceStream(some, batching, 3, ("dense",))
    there = [of(stream.batch(index)) for index in range(90)]
    fresh = SentenceStream(some, batching, 3, ("dense",))
    for index in (80, 3, 50, 81, 0, 12):  # onwards, and back to before what is kept
        assert of(fresh.batch(index)) == there[index]
    assert len(fresh.order._epochs) < 10
    other = [SentenceStream(some, batching, *by) for by in ((4, ("dense",)), (3, ("other",)))]
    assert all(of(stream.batch(0)) != there[0] for stream in other)


def test_shares_are_the_rows_of_the_whole():
    stream = SentenceStream(pairs(SOURCES, TARGETS), SentenceBatching(10, 5, "both"), 0, ())
    whole = stream.batch(5)
    for processes, group in ((3, 1), (4, 4), (12, 1)):
        parts = [stream.batch(5, Share(rank, processes, group)) for rank in range(processes)]
        assert all_of(parts) == of(whole)
        assert torch.equal(torch.cat([part.lengths for part in parts]), whole.lengths)
        if group == 4:
            assert [len(part) for part in parts] == [4, 4, 2, 0]


def test_order_takes_no_time_for_millions_of_pairs():
    bucket = RANDOM.integers(0, 5, 400_000).astype(np.uint16)
    order = SentenceOrder(bucket, 2048, 0, ())
    rows = order.rows(200)
    assert len(set(bucket[rows])) == 1
    assert set(order._epochs) <= {0, 1}


# -- to score on ----------------------------------------------------------------------------------


def scoring(count, size=4, seed=0):
    source = generator(seed, "scoring sentences")
    some = pairs(SOURCES, TARGETS)
    return ScoringSentences(some, sentences=count, size=size, generator=source)


def test_weights_are_scored_on_the_first_pairs_of_a_random_order():
    found = [of(batch) for batch in scoring(10)]
    assert [len(rows) for rows in found] == [4, 4, 2]
    assert len(set(all_of(scoring(10)))) == 10
    assert [of(batch) for batch in scoring(10)] == found
    assert all_of(scoring(6, size=6)) == all_of(scoring(10))[:6]
    assert [of(batch) for batch in scoring(10, seed=1)] != found
    assert list(scoring(0)) == []
    with pytest.raises(PruningError, match="wants 201 training pairs .*there are 200"):
        scoring(201)[0]
    with pytest.raises(IndexError):
        scoring(10)[3]


def test_pairs_move_and_part_together():
    some = replace(pairs([1, 2, 3], [3, 2, 1]), references=("a", "b", "c"))
    part = some.to("cpu").part(torch.tensor([2, 0]))
    assert part.references == ("c", "a")
    assert part.source.lengths.tolist() == [3, 1]
    assert part.target.tokens.tolist() == [5, 3, 3, 3]
