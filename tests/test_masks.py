import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pruning.errors import PruningError
from pruning.masks import mask as masking
from pruning.masks import order_statistics

# Few distinct values, so that ties are the rule.
score_lists = st.lists(
    st.lists(st.integers(0, 4).map(float), min_size=1, max_size=12), min_size=1, max_size=4
)
densities = st.floats(0.001, 1.0)


def tensors(lists):
    return {f"layer{i}.weight": torch.tensor(values) for i, values in enumerate(lists)}


def flat(masks):
    return torch.cat([mask.flatten() for mask in masks.values()])


def keeps_something(density, lists):
    assume(masking.kept_count(density, sum(map(len, lists))) > 0)


@given(score_lists, densities)
def test_global_selection_keeps_the_exact_count_even_with_ties(lists, density):
    keeps_something(density, lists)
    scores = tensors(lists)
    masks = masking.select(scores, density)
    total = sum(map(len, lists))
    assert masking.counts(masks) == (masking.kept_count(density, total), total)


@given(score_lists, densities)
def test_layerwise_selection_keeps_the_exact_count_of_each_tensor(lists, density):
    assume(any(masking.kept_count(density, len(values)) for values in lists))
    for name, mask in masking.select(tensors(lists), density, "layerwise").items():
        expected = masking.kept_count(density, mask.numel())
        assert int(mask.sum()) == expected, name


@given(score_lists, densities)
def test_what_is_kept_scores_highest_and_ties_go_to_the_lower_index(lists, density):
    keeps_something(density, lists)
    kept = flat(masking.select(tensors(lists), density)).tolist()
    values = [value for values in lists for value in values]
    # An independent, slow reference: a sort of (score, index) pairs.
    ranked = sorted(range(len(values)), key=lambda i: (-values[i], i))
    expected = set(ranked[: masking.kept_count(density, len(values))])
    assert {i for i, keep in enumerate(kept) if keep} == expected


@given(score_lists, densities, densities)
def test_levels_are_nested(lists, first, second):
    scores = tensors(lists)
    high, low = max(first, second), min(first, second)
    keeps_something(low, lists)
    outer = masking.select(scores, high)
    other = {name: -score for name, score in scores.items()}  # a ranking that disagrees
    inner = masking.select(other, low, within=outer)
    assert not (flat(inner) & ~flat(outer)).any()
    assert masking.counts(inner)[0] == masking.kept_count(low, flat(inner).numel())


def test_density_one_keeps_all_and_counts_round_half_up():
    scores = {"w": torch.zeros(10)}
    assert masking.select(scores, 1.0)["w"].all()
    assert masking.kept_count(0.25, 10) == 3
    assert masking.kept_count(0.8**10, 271_152) == 29_115


def test_readable_example():
    scores = {"a": torch.tensor([[3.0, 1.0], [2.0, 2.0]]), "b": torch.tensor([2.0, 0.0])}
    masks = masking.select(scores, 0.5)
    assert masks["a"].tolist() == [[True, False], [True, True]]
    assert masks["b"].tolist() == [False, False]


@pytest.mark.parametrize("density", [0, -0.1, 1.0001, float("nan")])
def test_impossible_density_is_refused(density):
    with pytest.raises(PruningError, match=r"\(0, 1\]"):
        masking.select({"w": torch.zeros(4)}, density)


def test_nan_scores_unknown_scope_and_growing_are_refused():
    with pytest.raises(PruningError, match="w contain NaN"):
        masking.select({"w": torch.tensor([1.0, float("nan")])}, 0.5)
    with pytest.raises(PruningError, match="global, layerwise"):
        masking.select({"w": torch.zeros(4)}, 0.5, "globl")
    with pytest.raises(PruningError, match="keeps none of 4 weights"):
        masking.select({"w": torch.zeros(4)}, 0.01)
    scores = {"w": torch.arange(4.0)}
    with pytest.raises(PruningError, match="never brings weights back"):
        masking.select(scores, 0.75, within=masking.select(scores, 0.5))


def test_infinite_scores_do_not_bring_masked_weights_back():
    scores = {"w": torch.tensor([float("-inf"), 1.0, float("-inf"), 2.0])}
    within = {"w": torch.tensor([True, False, True, True])}
    assert masking.select(scores, 0.5, within=within)["w"].tolist() == [True, False, False, True]


def test_apply_zeroes_even_what_is_not_finite():
    applied = masking.apply(
        {"w": torch.tensor([True, False])}, {"w": torch.tensor([1.0, float("inf")])}
    )
    assert applied["w"].tolist() == [1.0, 0.0]


@given(score_lists, densities, densities)
def test_ties_within_what_is_left_go_to_the_lower_index(lists, first, second):
    high, low = max(first, second), min(first, second)
    keeps_something(low, lists)
    scores = tensors(lists)
    outer = masking.select({name: -score for name, score in scores.items()}, high)
    kept = flat(masking.select(scores, low, within=outer)).tolist()
    values, left = flat(scores).tolist(), flat(outer).nonzero().flatten().tolist()
    ranked = sorted(left, key=lambda i: (-values[i], i))
    expected = set(ranked[: masking.kept_count(low, len(values))])
    assert {i for i, keep in enumerate(kept) if keep} == expected


@pytest.mark.parametrize("kind", ["distinct", "ties", "sorted", "constant"])
def test_the_threshold_found_by_a_sample_is_the_exact_one(kind, monkeypatch):
    """Large tensors go another way than those above; also where the sample says nothing."""
    monkeypatch.setattr(order_statistics, "SAMPLE", 50)
    source = torch.Generator().manual_seed(0)
    values = {
        "distinct": torch.rand(4000, generator=source),
        "ties": torch.randint(5, (4000,), generator=source).float(),
        "sorted": torch.arange(4000.0),  # evenly spaced samples of a periodic pattern mislead
        "constant": torch.zeros(4000),
    }[kind]
    values[::80] = -1.0  # every sampled one
    scores = {"a": values[:1000], "b": values[1000:].view(60, 50)}
    within = masking.select({n: torch.rand(s.shape) for n, s in scores.items()}, 0.9)
    for density in (0.001, 0.1, 0.5, 0.899):
        kept = flat(masking.select(scores, density, within=within))
        left = flat(within).nonzero().flatten()
        order = values[left].sort(descending=True, stable=True).indices
        expected = torch.zeros(4000, dtype=torch.bool)
        expected[left[order[: masking.kept_count(density, 4000)]]] = True
        assert torch.equal(kept, expected), density
