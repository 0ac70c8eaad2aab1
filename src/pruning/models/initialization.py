"""Initial weights. Each tensor draws from its own generator, derived from (seed, tensor name).

All draw the kernels of the layers in :mod:`pruning.models.layers` and set their biases, and those
of batch norm. What a layer that is not there has, a layer norm or a user's own, has the value that
it was built with, and so has what requires no gradient: a fixed filter is its author's.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from pruning.models import layers
from pruning.models.layers import Kernel
from pruning.models.residual import last_norms
from pruning.seeds import generator

# Standard deviation of a unit normal truncated at two standard deviations.
TRUNCATED_STD = 0.87962566103423978

Draw = Callable[[nn.Module, Kernel, Tensor, torch.Generator], object]


def fan_in_truncated_normal(module: nn.Module, seed: int) -> None:
    """Renda et al. 2020 (reference, section 4): convolutions from a truncated normal of variance
    1/fan_in (not He's 2/fan_in), linear weights from N(0, 0.01^2), biases 0, BN gamma 1, beta 0.
    Other kernels, which they do not have, as convolutions.
    """

    def draw(layer: nn.Module, kernel: Kernel, weight: Tensor, source: torch.Generator) -> None:
        if layers.is_kind(layer, layers.LINEAR):
            nn.init.normal_(weight, std=0.01, generator=source)
            return
        std = kernel.fan_in**-0.5 / TRUNCATED_STD
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=source)

    _initialize(module, seed, draw)


def fan_in_truncated_normal_zero_last_scale(module: nn.Module, seed: int) -> None:
    """Renda et al. 2020 on ImageNet (reference, section 4): as :func:`fan_in_truncated_normal`, and
    gamma 0 in the normalization that ends the body of each residual block, so that every block
    begins as its shortcut (Goyal et al. 2017, section 5.1).

    Raises:
        PruningError: see :func:`pruning.models.residual.last_norms`.
    """
    fan_in_truncated_normal(module, seed)
    with torch.no_grad():
        for _, layer in last_norms(module):
            layer.weight.zero_()


def kaiming_normal(module: nn.Module, seed: int) -> None:
    """He et al. 2015: kernels from N(0, 2/fan_in), biases 0, BN gamma 1, beta 0."""
    _initialize(
        module,
        seed,
        lambda _, kernel, weight, source: weight.normal_(
            0, math.sqrt(2) / math.sqrt(kernel.fan_in), generator=source
        ),
    )


def kaiming_normal_fan_out(module: nn.Module, seed: int) -> None:
    """He et al. 2015, backward case: convolutions from N(0, 2/(kernel area x output channels)).
    Other weights and all biases as PyTorch draws them in linear layers, uniform within
    1/sqrt(fan_in); BN gamma 1, beta 0.
    """

    def draw(layer: nn.Module, kernel: Kernel, weight: Tensor, source: torch.Generator) -> None:
        if not layers.is_kind(layer, layers.CONVOLUTION, layers.TRANSPOSED):
            bound = kernel.fan_in**-0.5
            nn.init.uniform_(weight, -bound, bound, generator=source)
            return
        nn.init.normal_(weight, std=(2 / kernel.fan_out) ** 0.5, generator=source)

    _initialize(module, seed, draw)
    _draw_biases(module, seed)


def xavier_uniform(module: nn.Module, seed: int) -> None:
    """Glorot & Bengio 2010: kernels uniform with variance 2/(fan_in + fan_out), biases 0."""
    _initialize(
        module,
        seed,
        lambda _, kernel, weight, source: _uniform(
            weight, math.sqrt(2.0 / float(kernel.fan_in + kernel.fan_out)), source
        ),
    )


def xavier_uniform_uniform_scale(module: nn.Module, seed: int) -> None:
    """As :func:`xavier_uniform`, with BN gamma uniform in (0, 1), as PyTorch 1.1 drew it: what the
    authors' code of GSM, written for that version, begins with (Ding et al. 2019).
    """
    xavier_uniform(module, seed)
    _draw_scales(module, seed)


def kaiming_uniform(module: nn.Module, seed: int) -> None:
    """He et al. 2015: kernels uniform with variance 2/fan_in, biases 0."""
    _initialize(
        module,
        seed,
        lambda _, kernel, weight, source: _uniform(
            weight, math.sqrt(2) / math.sqrt(kernel.fan_in), source
        ),
    )


def xavier_normal(module: nn.Module, seed: int) -> None:
    """Glorot & Bengio 2010: kernels from N(0, 2/(fan_in + fan_out)), biases 0."""
    _initialize(
        module,
        seed,
        lambda _, kernel, weight, source: weight.normal_(
            0, math.sqrt(2.0 / float(kernel.fan_in + kernel.fan_out)), generator=source
        ),
    )


def uniform_01(module: nn.Module, seed: int) -> None:
    """Renda et al. 2020 for GNMT (reference, section 2.2): every kernel uniform within 0.1 of 0,
    whatever its size, biases 0.
    """
    _within(module, seed, 0.1)


def uniform_02(module: nn.Module, seed: int) -> None:
    """As :func:`uniform_01` within 0.2, for networks so narrow that 0.1 leaves activations tiny."""
    _within(module, seed, 0.2)


def signed_constant(module: nn.Module, seed: int) -> None:
    """Ramanujan et al. 2020, section 3.3: every kernel entry is + or - sqrt(2/fan_in), each by the
    toss of a fair coin; biases 0.
    """

    def draw(_: nn.Module, kernel: Kernel, weight: Tensor, source: torch.Generator) -> None:
        heads = torch.randint(2, weight.shape, generator=source, dtype=torch.bool)
        size = (2 / kernel.fan_in) ** 0.5
        weight.copy_(torch.where(heads, size, -size))

    _initialize(module, seed, draw)


def unsigned_constant(module: nn.Module, seed: int) -> None:
    """Every kernel entry is sqrt(2/fan_in), which is no random draw; biases 0."""
    _initialize(
        module, seed, lambda _, kernel, weight, __: weight.fill_((2 / kernel.fan_in) ** 0.5)
    )


def kaiming_normal_uniform_scale(module: nn.Module, seed: int) -> None:
    """Frankle et al. 2021 and OpenLTH (reference, section 4): kernels from N(0, 2/fan_in), biases
    as PyTorch draws them, uniform within 1/sqrt(fan_in), BN gamma uniform in (0, 1), beta 0.
    """
    kaiming_normal(module, seed)
    _draw_biases(module, seed)
    _draw_scales(module, seed)


def normal_std_01(module: nn.Module, seed: int) -> None:
    """Frankle et al. 2021, ablation (reference, section 3): kernels from N(0, 0.1^2) in every
    layer, whatever its size; the rest as :func:`kaiming_normal_uniform_scale`.
    """
    _initialize(
        module, seed, lambda _, __, weight, source: weight.normal_(0, 0.1, generator=source)
    )
    _draw_biases(module, seed)
    _draw_scales(module, seed)


def _initialize(module: nn.Module, seed: int, draw: Draw) -> None:
    with torch.no_grad():
        for name, layer, attribute, kernel, weight in _kernels(module):
            draw(layer, kernel, weight, _generator(seed, name, attribute))
            if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.padding_idx is not None:
                weight[layer.padding_idx] = 0  # stands for nothing, and is never trained
        for layer in module.modules():
            for bias in _biases(layer):
                layer.get_parameter(bias).zero_()
            if isinstance(layer, nn.modules.batchnorm._NormBase):
                layer.reset_parameters()  # gamma 1, beta 0, running mean 0, variance 1


def _draw_biases(module: nn.Module, seed: int) -> None:
    """Random biases beside the kernels instead of 0."""
    with torch.no_grad():
        for name, layer in module.named_modules():
            fans = [kernel.fan_in for kernel in layers.kernels(layer).values()]
            for attribute in _biases(layer):
                bound = max(fans) ** -0.5
                which = () if attribute == "bias" else (attribute,)
                source = _generator(seed, name, "bias", *which)
                nn.init.uniform_(layer.get_parameter(attribute), -bound, bound, generator=source)


def _draw_scales(module: nn.Module, seed: int) -> None:
    """Random scales of batch norms instead of 1."""
    with torch.no_grad():
        for layer_name, layer in module.named_modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.affine:
                source = generator(seed, "initialization", layer_name, "scale")
                nn.init.uniform_(layer.weight, generator=source)


def _kernels(module: nn.Module) -> Iterator[tuple[str, nn.Module, str, Kernel, Tensor]]:
    """(name of the layer, layer, attribute, kernel, weight) of all that are drawn."""
    for name, layer in module.named_modules():
        for attribute, kernel in layers.kernels(layer).items():
            weight = layer._parameters.get(attribute)
            if weight is not None and weight.requires_grad:
                yield name, layer, attribute, kernel, weight


def _biases(layer: nn.Module) -> list[str]:
    """Biases of layers in the table; those of a user's own are left alone."""
    if layers.kind_of(layer) is None:
        return []
    return [name for name in layers.biases(layer) if layer.get_parameter(name).requires_grad]


def _generator(seed: int, layer: str, attribute: str, *more: str) -> torch.Generator:
    """A generator for one tensor; most layers have one kernel, and theirs goes by the layer."""
    purpose = () if attribute == "weight" else (attribute,)
    return generator(seed, "initialization", layer, *purpose, *more)


def _within(module: nn.Module, seed: int, bound: float) -> None:
    _initialize(
        module,
        seed,
        lambda _, __, weight, source: weight.uniform_(-bound, bound, generator=source),
    )


def _uniform(weight: Tensor, std: float, source: torch.Generator) -> None:
    bound = math.sqrt(3.0) * std
    weight.uniform_(-bound, bound, generator=source)
