"""Small convolutional network: 3 x 3 convolutions with ReLU and maximum pooling, then linear layers.

The image is the last `h * w * c` columns of the matrix, as the encoder puts it; the other columns join behind
the last pooling. Both twins keep the parameters of a convolution as `(out, 3, 3, in)`, MLX's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from runtime_lib.errors import ModelError

__all__ = ["mlx_network", "torch_network", "units"]


def torch_network(
    *,
    inputs: int,
    image: Sequence[int],
    channels: Sequence[int] = (16, 32),
    hidden: Sequence[int] = (64,),
    outputs: int = 1,
    dropout: float = 0.0,
) -> Any:
    """Return the torch twin; `(n, inputs)` in, `(n, outputs)` out.

    Args:
        image: `[h, w]` or `[h, w, c]`, the size of the images.
        channels: of the convolutions; each halves height and width.
        hidden: units of the linear layers between.

    Raises:
        ModelError: the image is no part of the inputs, or is halved to nothing.
    """
    from torch import Tensor, cat, nn
    from torch.nn.functional import conv2d, max_pool2d

    h, w, c, flat = _sizes(inputs, image, channels)

    class Convolution(nn.Module):
        def __init__(self, of: int, to: int) -> None:
            super().__init__()
            made = nn.Conv2d(of, to, 3)
            self.weight = nn.Parameter(made.weight.detach().permute(0, 2, 3, 1).contiguous())
            self.bias = made.bias

        def forward(self, x: Tensor) -> Tensor:
            return conv2d(x, self.weight.permute(0, 3, 1, 2), self.bias, padding=1)

    class CNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolutions = nn.ModuleList(Convolution(a, b) for a, b in pairwise([c, *channels]))
            self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([flat, *hidden, outputs]))
            self.dropout = nn.Dropout(dropout)

        def forward(self, x: Tensor) -> Tensor:
            others, pixels = x[:, : -h * w * c], x[:, -h * w * c :]
            x = pixels.reshape(-1, h, w, c).permute(0, 3, 1, 2)
            for convolution in self.convolutions:
                x = max_pool2d(convolution(x).relu(), 2)
            # Flattened in MLX's order of the axes, so that the next layer's weights are the same.
            x = cat([others, x.permute(0, 2, 3, 1).flatten(1)], dim=1)
            for layer in list(self.layers)[:-1]:
                x = self.dropout(layer(x).relu())
            return self.layers[-1](x)  # type: ignore[no-any-return]

    return CNN()


def mlx_network(
    *,
    inputs: int,
    image: Sequence[int],
    channels: Sequence[int] = (16, 32),
    hidden: Sequence[int] = (64,),
    outputs: int = 1,
    dropout: float = 0.0,
) -> Any:
    """Return the MLX twin, as `torch_network`."""
    import mlx.core as mx
    import mlx.nn as nn

    h, w, c, flat = _sizes(inputs, image, channels)

    class CNN(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise([c, *channels])]
            self.layers = [nn.Linear(a, b) for a, b in pairwise([flat, *hidden, outputs])]
            self.dropout = nn.Dropout(dropout)
            self.pool = nn.MaxPool2d(2, 2)

        def __call__(self, x: Any) -> Any:
            others, pixels = x[:, : -h * w * c], x[:, -h * w * c :]
            x = pixels.reshape(-1, h, w, c)
            for convolution in self.convolutions:
                x = self.pool(nn.relu(convolution(x)))
            x = mx.concatenate([others, x.reshape(len(x), -1)], axis=1)
            for layer in self.layers[:-1]:
                x = self.dropout(nn.relu(layer(x)))
            return self.layers[-1](x)

    return CNN()


def units(
    *,
    inputs: int,
    image: Sequence[int],
    channels: Sequence[int] = (16, 32),
    hidden: Sequence[int] = (64,),
    outputs: int = 1,
    dropout: float = 0.0,
) -> int:
    """Numbers that all layers give for one row: a convolution gives some at every position."""
    h, w, _, _ = _sizes(inputs, image, channels)
    positions = sum((h >> place) * (w >> place) * of for place, of in enumerate(channels))
    return positions + sum(hidden) + outputs


def _sizes(inputs: int, image: Sequence[int], channels: Sequence[int]) -> tuple[int, int, int, int]:
    """Height, width, channels of the image, and how many numbers the first linear layer takes."""
    if len(image) not in (2, 3) or not all(isinstance(size, int) and size > 0 for size in image):
        raise ModelError(f"cnn: image = {list(image)!r}; it is [height, width] or [height, width, channels].")
    h, w, c = (*image, 1)[:3]
    if prod(image) > inputs:
        raise ModelError(
            f"cnn: an image of {' x '.join(map(str, image))} is {prod(image):,} columns, and the encoded "
            f"inputs are {inputs:,}. Write the size of the declared column as `image`."
        )
    halved = h >> len(channels), w >> len(channels)
    if not all(halved):
        raise ModelError(
            f"cnn: {len(channels)} convolutions halve an image of {h} x {w} to nothing. Give fewer channels."
        )
    return h, w, c, prod(halved) * (channels[-1] if channels else c) + inputs - h * w * c
