"""Random crops of any size and shape, resized to the image's size (Szegedy et al. 2015).

The boxes follow torchvision's RandomResizedCrop. They are drawn for a whole epoch at once and
resized for a whole batch at once.
"""

import math

import torch
from torch import Tensor

from pruning.data.batching import ResizedCrop

TRIES = 10  # as torchvision; what fits at none of them is the largest central crop


def draw_boxes(
    count: int, height: int, width: int, crop: ResizedCrop, source: torch.Generator
) -> Tensor:
    """Crops of ``count`` images, int64 (count, 4): top, left, rows, columns in pixels.

    The area, as a fraction of the image's, is uniform in ``crop.scale``; the ratio of width to
    height is uniform in its logarithm in ``crop.ratio``; the place is uniform. A box that does not
    fit the image is drawn again.
    """
    boxes = _central_box(height, width, crop).repeat(count, 1)
    pending = torch.arange(count)
    for _ in range(TRIES):
        draws = torch.rand(len(pending), 4, dtype=torch.float64, generator=source)
        tried, fits = _try_boxes(height, width, crop, draws)
        boxes[pending[fits]] = tried[fits]
        pending = pending[~fits]
    return boxes


def box_of(height: int, width: int, crop: ResizedCrop, draws: Tensor) -> Tensor:
    """The crop of one image, as :func:`draw_boxes` has them: (4,).

    Args:
        height, width: of the image.
        crop: limits.
        draws: float64 (TRIES, 4), uniform in [0, 1).
    """
    tried, fits = _try_boxes(height, width, crop, draws)
    return tried[int(fits.int().argmax())] if fits.any() else _central_box(height, width, crop)


def _try_boxes(height: int, width: int, crop: ResizedCrop, draws: Tensor) -> tuple[Tensor, Tensor]:
    """A box (n, 4) for each row of four draws (n, 4), and whether it fits (n,)."""
    area = _between(*crop.scale, draws[:, 0]) * (height * width)
    ratio = _between(*map(math.log, crop.ratio), draws[:, 1]).exp()
    sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], 1).round().long()
    room = torch.tensor([height, width]) - sides
    fits = ((sides > 0) & (room >= 0)).all(1)
    corners = (draws[:, 2:] * (room + 1)).long()
    return torch.cat([corners, sides], 1), fits


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """Each image's box, enlarged bilinearly to the size of the image.

    What :func:`torch.nn.functional.interpolate` makes of every crop by itself (no pixel outside
    of a crop is read), rounded to whole grey levels, as images from files are. There is no
    antialiasing: it matters where images shrink, and no box is larger than its image.

    Args:
        images: uint8 (B, H, W, C).
        boxes: (B, 4), from :func:`draw_boxes`.
    """
    _, height, width, _ = images.shape
    top, left, rows, columns = boxes.to(torch.float32).unbind(1)
    y, x = _positions(top, rows, height), _positions(left, columns, width)
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)
    pixels = images.permute(0, 3, 1, 2).to(torch.float32)
    resized = torch.nn.functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return resized.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _positions(first: Tensor, length: Tensor, size: int) -> Tensor:
    """Where the ``size`` pixels of each resized side (B, size) lie, as grid_sample counts: the
    whole image reaches from -1 to 1.
    """
    steps = torch.arange(size, device=first.device) + 0.5
    within = steps * (length / size)[:, None] - 0.5
    # Half a pixel beyond the crop's first and last pixel there is only that pixel.
    within = torch.minimum(within.clamp_min_(0), length[:, None] - 1)
    return (2 * (first[:, None] + within) + 1) / size - 1


def _between(low: float, high: float, draws: Tensor) -> Tensor:
    return low + (high - low) * draws


def _central_box(height: int, width: int, crop: ResizedCrop) -> Tensor:
    """The largest central crop with a ratio as asked for."""
    narrowest, widest = crop.ratio
    rows = min(height, max(1, round(width / narrowest)))
    columns = min(width, max(1, round(height * widest)))
    return torch.tensor([(height - rows) // 2, (width - columns) // 2, rows, columns])
