"""The studies of the paper's own networks."""

import pytest
import torch
from torch import nn

from pruning.models.build import build
from pruning.models.config import NetworkConfig
from pruning.study.study import find_study
from tests.conftest import REPOSITORY, SCHEMAS

RGB32 = (3, 32, 32)


@pytest.mark.parametrize("study", ["gsm2019_resnet56", "gsm2019_densenet40"])
def test_gsms_networks_begin_as_by_pytorch_1_1(study):
    """Glorot's kernels, biases 0, and batch-norm scales from U(0, 1), each drawn by itself."""
    folder = REPOSITORY / "config/studies"
    network = find_study(study, folder, SCHEMAS / "study.schema.yaml").task["network"]
    module = build(NetworkConfig(**network), RGB32, 10, seed=0)
    plain = build(
        NetworkConfig(network["name"], "xavier_uniform", network["options"]), RGB32, 10, 0
    )
    expected, scales = plain.state_dict(), []
    for name, layer in module.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            scales.append(layer.weight.detach())
            del expected[f"{name}.weight"]
    drawn = module.state_dict()
    assert all(torch.equal(drawn[name], tensor) for name, tensor in expected.items())
    values = torch.cat(scales)
    assert float(values.min()) > 0
    assert 0.99 < float(values.max()) < 1
    assert float(values.mean()) == pytest.approx(1 / 2, abs=4 / (12 * len(values)) ** 0.5)
    assert float(values.var()) == pytest.approx(1 / 12, rel=0.1)
    assert len({tuple(scale[:8].tolist()) for scale in scales}) == len(scales)
