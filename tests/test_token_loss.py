"""The summed loss of target pieces: by formula, in parts, and differentiated twice."""

import torch

from pruning.models import token_loss
from tests.test_gnmt import GIVEN, SOURCES, network, padded

WANTED, LENGTHS = padded([[5, 6, 7, 2], [8, 2], [4, 3, 2]])


def loss(module, **options):
    source, lengths = padded(SOURCES)
    features = module.features(source, lengths, padded(GIVEN)[0])
    return token_loss.summed_loss(module, features, WANTED, LENGTHS, vocabulary=11, **options)


def test_it_is_the_formula_and_padding_counts_nothing():
    module = network(2).eval()
    source, lengths = padded(SOURCES)
    log_p = module(source, lengths, padded(GIVEN)[0]).log_softmax(2)
    plain, smoothed = 0.0, 0.0
    for row, length in enumerate(LENGTHS.tolist()):
        for step in range(length):
            own = log_p[row, step, WANTED[row, step]]
            plain = plain - own
            target = torch.full((11,), 0.1 / 11).double()
            target[WANTED[row, step]] += 0.9
            smoothed = smoothed - (target * log_p[row, step]).sum()
    torch.testing.assert_close(loss(module), plain)
    torch.testing.assert_close(loss(module, smoothing=0.1), smoothed)
    hot = (module(source, lengths, padded(GIVEN)[0]) / 200).log_softmax(2)
    expected = -sum(
        hot[row, step, WANTED[row, step]]
        for row, length in enumerate(LENGTHS.tolist())
        for step in range(length)
    )
    torch.testing.assert_close(loss(module, temperature=200.0), expected)


def test_in_parts_loss_and_gradients_are_the_same_also_of_gradients(monkeypatch):
    found = []
    for most in (2**26, 25):  # logits: all 9 rows at once, or two at a time
        monkeypatch.setattr(token_loss, "MOST_LOGITS", most)
        module = network(2).eval()
        named = [p for p in module.parameters() if p.requires_grad]
        value = loss(module, smoothing=0.1)
        gradients = torch.autograd.grad(value, named, create_graph=True)
        twice = torch.autograd.grad(sum(g.square().sum() for g in gradients), named)
        found.append([value, *gradients, *twice])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


class Rounded:
    """Makes logits in bfloat16, and counts how often."""

    def __init__(self):
        self.calls = 0
        self.matrix = torch.randn(4, 7, generator=torch.Generator().manual_seed(1))

    def project(self, features):
        self.calls += 1
        return (features @ self.matrix).bfloat16()


def rounded(module):
    features = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    wanted, lengths = torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.tensor([3, 3])
    return token_loss.summed_loss(module, features, wanted, lengths, vocabulary=7), features


def test_losses_are_of_float32_whatever_logits_are():
    module = Rounded()
    value, features = rounded(module)
    logits = module.project(features.flatten(0, 1)).float()
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(1, 7), reduction="sum")
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)


def test_parts_are_computed_again_and_whole_batches_are_not(monkeypatch):
    module = Rounded()
    rounded(module)[0].backward()
    assert module.calls == 1
    monkeypatch.setattr(token_loss, "MOST_LOGITS", 14)  # two rows: three parts
    module = Rounded()
    value, _ = rounded(module)
    assert module.calls == 3
    value.backward()
    assert module.calls == 6
