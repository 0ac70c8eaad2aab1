"""Networks as users write them, small; each takes (C, H, W) images of 1x8x8 or 3x8x8."""

import math
import random

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Signal(nn.Module):
    """Two convolutions over one dimension."""

    def __init__(self, shape, classes):
        super().__init__()
        self.conv1 = nn.Conv1d(shape[0] * shape[1], 6, 3, padding=1)
        self.norm = nn.BatchNorm1d(6)
        self.conv2 = nn.Conv1d(6, 4, 3, stride=2)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = functional.max_pool1d(self.norm(self.conv1(x.flatten(1, 2))).relu(), 2)
        return self.fc(self.conv2(x).relu().mean(2))


class Volume(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv3d(1, 3, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.norm = nn.BatchNorm3d(3)
        self.conv2 = nn.Conv3d(3, 2, 1)
        self.fc = nn.Linear(2, classes)

    def forward(self, x):
        x = self.norm(self.conv(x[:, None])).relu()
        return self.fc(self.conv2(x).mean((2, 3, 4)))


class Widening(nn.Module):
    """A transposed convolution, in groups."""

    def __init__(self, shape, classes, dims=2):
        super().__init__()
        self.down = nn.Conv2d(shape[0], 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.last = nn.Conv2d(6, 2, 1)
        self.fc = nn.Linear(2, classes)

    def forward(self, x):
        return self.fc(self.last(self.up(self.down(x).relu()).relu()).mean((2, 3)))


class WideningSignal(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.up = nn.ConvTranspose1d(shape[0] * shape[1], 5, 4, stride=2, padding=1)
        self.fc = nn.Linear(5, classes)

    def forward(self, x):
        return self.fc(self.up(x.flatten(1, 2)).relu().mean(2))


class Recurrent(nn.Module):
    """Rows of the image are time steps."""

    def __init__(self, shape, classes, kind="LSTM", **options):
        super().__init__()
        self.rnn = getattr(nn, kind)(shape[0] * shape[2], 5, batch_first=True, **options)
        width = options.get("proj_size") or 5
        self.fc = nn.Linear(width * (2 if options.get("bidirectional") else 1), classes)

    def forward(self, x):
        return self.fc(self.rnn(x.transpose(1, 2).flatten(2))[0][:, -1])


class Cells(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.cell = nn.GRUCell(shape[0] * shape[2], 4)
        self.last = nn.LSTMCell(4, 3)
        self.fc = nn.Linear(3, classes)

    def forward(self, x):
        state = None
        for row in x.transpose(1, 2).flatten(2).unbind(1):
            state = self.cell(row, state)
        return self.fc(self.last(state)[0])


class Attending(nn.Module):
    """Rows look at rows; a class token is added by its own name where it is asked for."""

    def __init__(self, shape, classes, token=False, cross=False):
        super().__init__()
        self.embed = nn.Linear(shape[0] * shape[2], 6)
        self.token = nn.Parameter(torch.randn(1, 1, 6)) if token else None
        self.norm = nn.LayerNorm(6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True, dropout=0.0)
        self.cross = cross
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        x = self.embed(x.transpose(1, 2).flatten(2))
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        y = self.norm(x)
        query = y[:, :3] if self.cross else y
        made = self.attention(query, key=y, value=y, need_weights=False)[0]
        return self.fc((x[:, : made.shape[1]] + made).mean(1))


class Sizes(nn.Module):
    """Keys and values of sizes of their own."""

    def __init__(self, shape, classes):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, kdim=8 * shape[0], vdim=4, batch_first=True)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        rows = x.transpose(1, 2).flatten(2)
        return self.fc(self.attention(rows[..., :8], rows, rows[..., :4])[0].mean(1))


class Transformer(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.encoder(x[:, 0]).mean(1))


class Words(nn.Module):
    """Dark and light pixels as words; the output is read by the same table."""

    def __init__(self, shape, classes, tied=False, bag=False):
        super().__init__()
        if bag:
            self.table = nn.EmbeddingBag(7, 5)
        else:
            self.table = nn.Embedding(7, 5, padding_idx=0)
        self.fc = nn.Linear(7 if tied else 5, classes)
        self.tied, self.bag = tied, bag

    def forward(self, x):
        words = (x.flatten(1) > 0).long() + 2 * (x.flatten(1) > 1).long()
        x = self.table(words) if self.bag else self.table(words).mean(1)
        return self.fc(functional.linear(x, self.table.weight) if self.tied else x)


class Pairs(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.pairs = nn.Bilinear(8 * shape[0], 8 * shape[0], 3)
        self.fc = nn.Linear(3, classes)

    def forward(self, x):
        x = x.mean(2).flatten(1)
        return self.fc(self.pairs(x, x))


class Raw(nn.Module):
    """Weights that are no layer's."""

    def __init__(self, shape, classes):
        super().__init__()
        self.mixing = nn.Parameter(torch.randn(6, 64 * shape[0]) / 8)
        self.scale = nn.Parameter(torch.full((6,), 2.0))
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        return self.fc(self.scale * functional.linear(x.flatten(1), self.mixing).relu())


class Direction(nn.Module):
    """A vector of length 1."""

    def __init__(self, width):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(width))

    def divides_by(self):
        return ["direction"]

    def forward(self, x):
        return x * self.direction / self.direction.norm()


class Divided(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.fc1 = nn.Linear(64, 8)
        self.inner = Direction(8)
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc2(self.inner(self.fc1(x.flatten(1)).relu()))


class Standardized(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
        return functional.conv2d(x, w, self.bias, self.stride, self.padding)


class Norms(nn.Module):
    """Normalizations of all kinds, and activations with weights."""

    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], 8, 3, padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.act = nn.PReLU(8)
        self.instance = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
        self.local = nn.LocalResponseNorm(2)
        self.fc1 = nn.Linear(8, 8)
        self.layer = nn.LayerNorm(8)
        self.rms = nn.RMSNorm(8)
        self.batch = nn.BatchNorm1d(8)
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x):
        x = self.local(self.instance(self.act(self.group(self.conv(x)))))
        x = self.fc1(x.mean((2, 3)))
        return self.fc2(self.batch(self.rms(self.layer(x))))


class Functional(nn.Module):
    """A layer's weight used without the layer, transposed and copied."""

    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], 4, 3)
        self.fc = nn.Linear(4, classes)
        self.register_buffer("keep", torch.ones(classes, 4))

    def forward(self, x):
        x = functional.conv2d(x, self.conv.weight, self.conv.bias, stride=2).mean((2, 3))
        return x @ (self.fc.weight * self.keep).t().contiguous() + self.fc.bias


class Depthwise(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], 6, 3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.pointwise = nn.Conv2d(6, 4, 1)
        self.groups = nn.Conv2d(4, 4, 1, groups=2)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = self.pointwise(self.depthwise(self.conv(x).relu()).relu()).relu()
        return self.fc(self.groups(x).mean((2, 3)))


class Branches(nn.Module):
    """Two branches side by side."""

    def __init__(self, shape, classes):
        super().__init__()
        self.left = nn.Conv2d(shape[0], 3, 3, padding=1)
        self.right = nn.Conv2d(shape[0], 2, 1)
        self.last = nn.Conv2d(5, 4, 3)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = torch.cat([self.left(x), self.right(x)], 1).relu()
        return self.fc(self.last(x).relu().mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.stem = nn.Conv2d(shape[0], 4, 3, padding=1)
        self.a = nn.Conv2d(4, 5, 3, padding=1)
        self.b = nn.Conv2d(5, 4, 3, padding=1)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = self.stem(x)
        return self.fc((x + self.b(self.a(x).relu())).mean((2, 3)))


class Frozen(nn.Module):
    """A fixed filter before what is trained."""

    def __init__(self, shape, classes):
        super().__init__()
        self.edges = nn.Conv2d(shape[0], 2, 3, bias=False)
        self.edges.weight.data.fill_(0.25)
        self.edges.weight.requires_grad_(False)
        self.fc = nn.Linear(2 * 36, classes)

    def forward(self, x):
        return self.fc(self.edges(x).flatten(1))


class Unused(nn.Module):
    """A head that is not called, one of which nothing is learned, one for training alone."""

    def __init__(self, shape, classes, head="unused"):
        super().__init__()
        self.body = nn.Linear(64 * shape[0], 6)
        self.fc = nn.Linear(6, classes)
        self.head, self.extra = head, nn.Linear(6, classes)

    def forward(self, x):
        x = self.body(x.flatten(1)).relu()
        y = self.fc(x)
        if self.head == "detached":
            return y + self.extra(x).detach()
        if self.head == "evaluation" and not self.training:
            return y + self.extra(x)
        return y


class Weighted(nn.Module):
    """weight_norm."""

    def __init__(self, shape, classes, old=False):
        super().__init__()
        norm = nn.utils.weight_norm if old else nn.utils.parametrizations.weight_norm
        self.conv = norm(nn.Conv2d(shape[0], 3, 3))
        self.fc = nn.Linear(3, classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


class Lazy(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.fc = nn.LazyLinear(classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Pooled(nn.Module):
    """Batch norm on maps of one pixel."""

    def __init__(self, shape, classes):
        super().__init__()
        self.conv = nn.Conv2d(shape[0], 4, 8)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).relu().flatten(1))


class Auxiliary(nn.Module):
    """More than one output while it trains."""

    def __init__(self, shape, classes):
        super().__init__()
        self.fc = nn.Linear(64 * shape[0], classes)

    def forward(self, x):
        y = self.fc(x.flatten(1))
        return (y, y) if self.training else y


class Halves(nn.Module):
    """Weights of half the precision."""

    def __init__(self, shape, classes):
        super().__init__()
        self.fc1 = nn.Linear(64 * shape[0], 8).bfloat16()
        self.fc2 = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc2(self.fc1(x.flatten(1).to(self.fc1.weight.dtype)).float().relu())


class Sparse(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.table = nn.Embedding(7, 5, sparse=True)
        self.fc = nn.Linear(5, classes)

    def forward(self, x):
        return self.fc(self.table((x.flatten(1) > 0).long()).mean(1))


class Whole(nn.Linear):
    """A layer that is the whole network."""

    def __init__(self, shape, classes):
        super().__init__(shape[0] * shape[1] * shape[2], classes)

    def forward(self, x):
        return super().forward(x.flatten(1))


class Masked(nn.Module):
    """A weight in a way that is not understood: distances to prototypes."""

    def __init__(self, shape, classes):
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(classes, 64 * shape[0]))

    def forward(self, x):
        return -torch.cdist(x.flatten(1), self.prototypes)


class LowRank(nn.Linear):
    """A layer of torch with weights of its own beside."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.down, self.up = (
            nn.Parameter(torch.randn(2, inputs)),
            nn.Parameter(torch.randn(outputs, 2)),
        )

    def forward(self, x):
        return super().forward(x) + x @ self.down.t() @ self.up.t()


class Adapted(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.fc = LowRank(64 * shape[0], classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Skipping(nn.Module):
    """A layer that a coin leaves out while training."""

    def __init__(self, shape, classes):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64 * shape[0], 8), nn.Linear(8, 8)
        self.fc3 = nn.Linear(8, classes)

    def forward(self, x):
        x = self.fc1(x.flatten(1)).relu()
        if not self.training or torch.rand(()) < 0.4:
            x = x + self.fc2(x).relu()
        return self.fc3(x)


class Faulty(Whole):
    def forward(self, x):
        return super().forward(x[:, :, 1:])


class Shuffled(nn.Module):
    """Reads pixels in an order that it draws when it is made."""

    def __init__(self, shape, classes, by: str = "list"):
        super().__init__()
        pixels = math.prod(shape)
        self.fc = nn.Linear(pixels, classes)
        self.order = {
            "list": lambda: [torch.randperm(pixels)],
            "plain": lambda: torch.randperm(pixels),
            "python": lambda: random.sample(range(pixels), pixels),
            "python, seeded": lambda: random.Random(0).sample(range(pixels), pixels),
            "numpy": lambda: torch.from_numpy(np.random.permutation(pixels)),
        }[by]()

    def forward(self, x):
        listed = isinstance(self.order, list) and isinstance(self.order[0], torch.Tensor)
        return self.fc(x.flatten(1)[:, self.order[0] if listed else self.order])


class Gated(nn.Module):
    """Uses a layer where values say so."""

    def __init__(self, shape, classes):
        super().__init__()
        self.fc1 = nn.Linear(math.prod(shape), 8)
        self.fc2 = nn.Linear(8, 8)
        self.fc3 = nn.Linear(8, classes)

    def forward(self, x):
        x = self.fc1(x.flatten(1)).relu()
        return self.fc3(x + self.fc2(x) if 0 < float(x.sum()) < math.inf else x)


class Hidden(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.fc = nn.Linear(math.prod(shape), classes)
        self.branches = {"more": [nn.Linear(math.prod(shape), classes)]}

    def forward(self, x):
        x = x.flatten(1)
        return self.fc(x) + self.branches["more"][0](x)


class Scripted(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.fc = nn.Linear(math.prod(shape), classes)
        self.more = torch.jit.script(nn.Linear(math.prod(shape), classes))

    def forward(self, x):
        return self.fc(x.flatten(1)) + self.more(x.flatten(1))


class Other(Whole):
    """Has one output more, or fewer, than there are classes."""

    def __init__(self, shape, classes, more: int):
        super().__init__(shape, classes + more)


class Overheard(nn.Module):
    """What one convolution makes is read by another, and by something else."""

    def __init__(self, shape, classes):
        super().__init__()
        self.a = nn.Conv2d(shape[0], 4, 3)
        self.b = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        x = self.a(x)
        return self.fc(self.b(x).mean((2, 3)) + torch.cumsum(x, 1).mean((2, 3)))


class Named(nn.Module):
    """A block with a projection, called as this package's networks call theirs."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = nn.Conv2d(inputs, 4, 3, padding=1)
        self.b = nn.Conv2d(4, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x):
        return self.shortcut(x) + self.b(self.a(x).relu())


class Blocks(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.first, self.second = Named(shape[0], 4), Named(4, 4)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))
