"""Initial weights. Each tensor draws from its own generator, derived from (seed, tensor name)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning.seeds import generator

# Standard deviation of a unit normal truncated at two standard deviations.
TRUNCATED_STD = 0.87962566103423978


def fan_in_truncated_normal(module: nn.Module, seed: int) -> None:
    """Renda et al. 2020 (reference, section 4): convolutions from a truncated normal of variance
    1/fan_in (not He's 2/fan_in), linear weights from N(0, 0.01^2), biases 0, BN gamma 1, beta 0.
    """

    def draw(layer: nn.Module, weight: Tensor, source: torch.Generator) -> None:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(weight, std=0.01, generator=source)
            return
        std = _fan_in(weight) ** -0.5 / TRUNCATED_STD
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=source)

    _initialize(module, seed, draw)


def kaiming_normal(module: nn.Module, seed: int) -> None:
    """He et al. 2015: kernels from N(0, 2/fan_in), biases 0, BN gamma 1, beta 0."""
    _initialize(
        module,
        seed,
        lambda _, weight, source: nn.init.kaiming_normal_(
            weight, nonlinearity="relu", generator=source
        ),
    )


def kaiming_normal_fan_out(module: nn.Module, seed: int) -> None:
    """He et al. 2015, backward case: convolutions from N(0, 2/(kernel area x output channels)).
    Linear weights and all biases as PyTorch draws them, uniform within 1/sqrt(fan_in); BN gamma 1,
    beta 0.
    """

    def draw(layer: nn.Module, weight: Tensor, source: torch.Generator) -> None:
        if isinstance(layer, nn.Linear):
            bound = _fan_in(weight) ** -0.5
            nn.init.uniform_(weight, -bound, bound, generator=source)
            return
        nn.init.normal_(weight, std=(2 / weight[:, 0].numel()) ** 0.5, generator=source)

    _initialize(module, seed, draw)
    _draw_biases(module, seed)


def xavier_uniform(module: nn.Module, seed: int) -> None:
    """Glorot & Bengio 2010: kernels uniform with variance 2/(fan_in + fan_out), biases 0."""
    _initialize(
        module,
        seed,
        lambda _, weight, source: nn.init.xavier_uniform_(weight, generator=source),
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
        lambda _, weight, source: nn.init.kaiming_uniform_(
            weight, nonlinearity="relu", generator=source
        ),
    )


def xavier_normal(module: nn.Module, seed: int) -> None:
    """Glorot & Bengio 2010: kernels from N(0, 2/(fan_in + fan_out)), biases 0."""
    _initialize(
        module, seed, lambda _, weight, source: nn.init.xavier_normal_(weight, generator=source)
    )


def signed_constant(module: nn.Module, seed: int) -> None:
    """Ramanujan et al. 2020, section 3.3: every kernel entry is + or - sqrt(2/fan_in), each by the
    toss of a fair coin; biases 0.
    """

    def draw(_: nn.Module, weight: Tensor, source: torch.Generator) -> None:
        heads = torch.randint(2, weight.shape, generator=source, dtype=torch.bool)
        size = (2 / _fan_in(weight)) ** 0.5
        weight.copy_(torch.where(heads, size, -size))

    _initialize(module, seed, draw)


def unsigned_constant(module: nn.Module, seed: int) -> None:
    """Every kernel entry is sqrt(2/fan_in), which is no random draw; biases 0."""
    _initialize(module, seed, lambda _, weight, __: weight.fill_((2 / _fan_in(weight)) ** 0.5))


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
        module, seed, lambda _, weight, source: nn.init.normal_(weight, std=0.1, generator=source)
    )
    _draw_biases(module, seed)
    _draw_scales(module, seed)


def _initialize(
    module: nn.Module, seed: int, draw: Callable[[nn.Module, Tensor, torch.Generator], object]
) -> None:
    with torch.no_grad():
        for layer_name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                draw(layer, layer.weight, generator(seed, "initialization", layer_name))
                if layer.bias is not None:
                    layer.bias.zero_()
            elif isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()  # gamma 1, beta 0, running mean 0, variance 1
            elif any(True for _ in layer.parameters(recurse=False)):
                raise NotImplementedError(f"no initialization for {type(layer).__name__}")


def _draw_biases(module: nn.Module, seed: int) -> None:
    """Random biases beside the kernels instead of 0."""
    with torch.no_grad():
        for layer_name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                bound = _fan_in(layer.weight) ** -0.5
                source = generator(seed, "initialization", layer_name, "bias")
                nn.init.uniform_(layer.bias, -bound, bound, generator=source)


def _draw_scales(module: nn.Module, seed: int) -> None:
    """Random scales of batch norms instead of 1."""
    with torch.no_grad():
        for layer_name, layer in module.named_modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.affine:
                source = generator(seed, "initialization", layer_name, "scale")
                nn.init.uniform_(layer.weight, generator=source)


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()
