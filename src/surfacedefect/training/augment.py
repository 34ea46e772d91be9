"""Disturb a whole batch of crops at once, on whatever device it is: what `samples.disturb` does to one of them.

The steps, their order, how often each is taken and what its figures are drawn from are those of `samples.disturb`; the
random numbers are not, as another generator draws them. Here `pixels` is always float32 (N, 3, H, W), 0 black and 255
white, and belongs to `disturb`: a step changes the images that it is drawn for in place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from surfacedefect.errors import TrainingError, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST_SIGMA = 2.0
"""Largest sigma in px that `sharpened` takes; its kernel ends 6 px from its middle."""
MOST_SPECKS = 29
"""Most specks on an image."""
SPECK_REACH = 4
"""How many px a speck reaches from the pixel that it is on: its largest radius, 4 px, and half a pixel."""

# ITU-T T.81 (1992), tables K.1 and K.2: how coarsely libjpeg rounds at quality 50, by vertical and level frequency.
_LIGHT_ROUNDING = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_COLOUR_ROUNDING = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
# ITU-T T.871 (2011), clause 7: light, blue and red difference from red, green and blue, and back.
_TO_LIGHT = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_FROM_LIGHT = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def disturb(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Disturb crops as cameras do: specks of dirt, sharpness, exposure, colour, grain and JPEG; each crop otherwise.

    Parameters
    ----------
    images
        uint8 (N, H, W, 3), RGB, on any device; of any size.
    generator
        Source of every choice. It draws on its own device, so one on the CPU draws the same for a batch on a GPU; one
        on the GPU is faster there. Its state before the call decides the result.

    Returns
    -------
    uint8 (N, H, W, 3), on the same device; `images` stays as it is.

    Raises
    ------
    TrainingError
        The images have another type or shape.

    Examples
    --------
    >>> import torch
    >>> grey = torch.full((2, 40, 30, 3), 120, dtype=torch.uint8)
    >>> one = disturb(grey, generator=torch.Generator().manual_seed(1))
    >>> one.shape, one.dtype
    (torch.Size([2, 40, 30, 3]), torch.uint8)
    >>> torch.equal(one, disturb(grey, generator=torch.Generator().manual_seed(1)))
    True
    >>> torch.equal(one[0], one[1])
    False
    """
    torch = require("torch", extra="train")
    _check(images)
    source = _Source(generator, images.device)
    with torch.autocast(images.device.type, enabled=False):  # a transform in bfloat16 would be wrong by whole levels
        pixels = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        _add_specks(pixels, source)
        _change_sharpness(pixels, source)
        pixels = _expose(pixels, source)
        _add_grain(pixels, source)
        pixels = pixels.add_(0.5).clamp_(0, 255).floor_()
        _compress(pixels, source)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _check(images: Any) -> None:
    torch = require("torch", extra="train")
    wanted = "expected a uint8 tensor (N, H, W, 3), RGB, of at least one pixel"
    if not isinstance(images, torch.Tensor):
        raise TrainingError(f"the images to disturb are a {type(images).__name__}; {wanted}: use torch.from_numpy")
    if images.dtype != torch.uint8:
        raise TrainingError(f"the images to disturb are {images.dtype}; {wanted}: disturb before scaling")
    if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:3]:
        raise TrainingError(f"the images to disturb have the shape {tuple(images.shape)}; {wanted}")


class _Source:
    """Random numbers from a generator, drawn on its device and handed out on that of the images."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.torch = require("torch", extra="train")
        self.drawing: dict[str, Any] = {"generator": generator, "device": generator.device}
        self.device = device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * self._moved(self.torch.rand(shape, **self.drawing))

    def normal(self, spread: float, *shape: int) -> Tensor:
        return spread * self._moved(self.torch.randn(shape, **self.drawing))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw whole numbers from `low` to `high`, both included."""
        return self._moved(self.torch.randint(low, high + 1, shape, **self.drawing))

    def rows(self, share: float, count: int) -> Tensor:
        """Draw which of `count` images a step is taken for, each with the probability `share`."""
        return (self.uniform(0, 1, count) < share).nonzero()[:, 0]

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device)


def _per_image(values: Tensor) -> Tensor:
    """Shape (N,) or (N, 3) figures so that they meet (N, 3, H, W)."""
    return values.reshape(len(values), math.prod(values.shape[1:]), 1, 1)


def _change_sharpness(pixels: Tensor, source: _Source) -> None:
    """Blur every fifth image; sharpen three tenths, as phones do."""
    count = len(pixels)
    chance = source.uniform(0, 1, count)
    blurred = chance < 0.2
    sigma = source.uniform(0.4, 1.6, count).where(blurred, source.uniform(0.6, 2.0, count))
    amount = (source.integers(60, 249, count) / 100).masked_fill(blurred, -1.0)
    rows = (chance < 0.5).nonzero()[:, 0]
    pixels[rows] = sharpened(pixels[rows], sigma=sigma[rows], amount=amount[rows]).clamp_(0, 255)


def sharpened(pixels: Tensor, *, sigma: Tensor, amount: Tensor) -> Tensor:
    """Add to each image `amount` times what a blur takes from it: an unsharp mask, or the blur itself where it is -1.

    Parameters
    ----------
    pixels
        float32 (N, 3, H, W).
    sigma
        float32 (N,), above 0, at most `LARGEST_SIGMA` px.
    amount
        float32 (N,), at least -1; Pillow's ``percent`` / 100.

    Returns
    -------
    float32 (N, 3, H, W), which may lie outside of 0..255.

    Examples
    --------
    >>> import torch
    >>> edge = torch.tensor([0.0, 0.0, 90.0, 90.0]).expand(2, 3, 1, 4)
    >>> sharpened(edge, sigma=torch.tensor([0.5, 0.5]), amount=torch.tensor([-1.0, 1.0]))[:, 0, 0].round()
    tensor([[  0.,  10.,  80.,  90.],
            [ -0., -10., 100.,  90.]])
    """
    torch = require("torch", extra="train")
    kernel = _bell(sigma)
    soft: Tensor = torch.lerp(
        _convolved(_convolved(pixels, kernel, dim=2), kernel, dim=3), pixels, _per_image(1 + amount)
    )
    return soft


def _bell(sigma: Tensor) -> Tensor:
    """Return Pillow's Gaussian, three box filters with soft ends (Gwosdek et al., 2011), as kernels float32 (N, 13).

    Its variance is right for a sigma below a pixel too, where that of a sampled Gaussian is half as large.
    """
    torch = require("torch", extra="train")
    variance = sigma**2 / 3
    inside = (((12 * variance + 1).sqrt() - 1) / 2).floor()
    end = (2 * inside + 1) * (inside * (inside + 1) - 3 * variance) / (6 * (variance - (inside + 1) ** 2))
    offset = torch.arange(-2, 3, device=sigma.device).abs()
    box = ((inside + end)[:, None] + 1 - offset).clamp(0, 1)
    kernel: Tensor = box / box.sum(dim=1, keepdim=True)
    for _ in range(2):
        shifted = [box[:, k : k + 1] * torch.nn.functional.pad(kernel, (k, 4 - k)) for k in range(5)]
        kernel = torch.stack(shifted).sum(dim=0)
    return kernel / kernel.sum(dim=1, keepdim=True)


def _convolved(pixels: Tensor, kernel: Tensor, *, dim: int) -> Tensor:
    """Convolve rows or columns, the outermost repeated, with the kernel of each image."""
    torch = require("torch", extra="train")
    taps = kernel.shape[1]
    reach = taps // 2
    margin = (0, 0, reach, reach) if dim == 2 else (reach, reach, 0, 0)
    padded = torch.nn.functional.pad(pixels, margin, mode="replicate")
    total = torch.zeros_like(pixels)
    for tap in range(taps):
        total.addcmul_(padded.narrow(dim, tap, pixels.shape[dim]), _per_image(kernel[:, tap]))
    return total  # type: ignore[no-any-return]


def _add_specks(pixels: Tensor, source: _Source) -> None:
    """Put specks of dirt and glints, which are no damage, on three tenths of the images."""
    rows = source.rows(0.3, len(pixels))
    count, (height, width) = len(rows), pixels.shape[2:]
    drawn = (count, MOST_SPECKS)
    light = source.normal(45, *drawn) * source.uniform(0.5, 1, *drawn)
    number = source.torch.arange(MOST_SPECKS, device=pixels.device)
    light = light.masked_fill(number >= source.integers(3, MOST_SPECKS, count, 1), 0)
    radius = source.uniform(math.log(0.6), math.log(SPECK_REACH), *drawn).exp()
    row, column = source.integers(0, height - 1, *drawn), source.integers(0, width - 1, *drawn)
    pixels[rows] += speck_light(row, column, radius=radius, light=light, size=(height, width))[:, None]


def speck_light(row: Tensor, column: Tensor, *, radius: Tensor, light: Tensor, size: tuple[int, int]) -> Tensor:
    """Return what soft discs add to the pixels of each image.

    Parameters
    ----------
    row, column
        int64 (N, S): the pixel in the middle of each of S discs, inside of the image.
    radius
        float32 (N, S), at most `SPECK_REACH` px. A disc is full up to half a pixel within it, and ends as far outside.
    light
        float32 (N, S): what a disc adds in its middle, in grey levels.
    size
        Height and width of the images in px.

    Returns
    -------
    float32 (N, H, W), in grey levels.

    Examples
    --------
    >>> import torch
    >>> at, radius = torch.tensor([[1]]), torch.tensor([[1.0]])
    >>> speck_light(at, at, radius=radius, light=torch.tensor([[10.0]]), size=(3, 4))[0].round()
    tensor([[ 1.,  5.,  1.,  0.],
            [ 5., 10.,  5.,  0.],
            [ 1.,  5.,  1.,  0.]])
    """
    torch = require("torch", extra="train")
    height, width = size[0] + 2 * SPECK_REACH, size[1] + 2 * SPECK_REACH
    offset = torch.arange(-SPECK_REACH, SPECK_REACH + 1, device=row.device)
    distance = torch.hypot(offset[:, None].float(), offset.float())
    cover = (radius[..., None, None] + 0.5 - distance).clamp(0, 1) * light[..., None, None]
    place = (
        (row[..., None, None] + SPECK_REACH + offset[:, None]) * width + column[..., None, None] + SPECK_REACH + offset
    )
    # In whole 1/1024 levels, as sums of integers do not depend on their order, which a GPU leaves open.
    total = torch.zeros((len(row), height * width), dtype=torch.int32, device=row.device)
    total.scatter_add_(1, place.flatten(1), (cover * 1024).round().to(torch.int32).flatten(1))
    canvas: Tensor = total.reshape(-1, height, width) / 1024
    return canvas[:, SPECK_REACH:-SPECK_REACH, SPECK_REACH:-SPECK_REACH]


def _expose(pixels: Tensor, source: _Source) -> Tensor:
    """Draw exposure, colour cast, gamma, saturation, contrast and brightness of every image."""
    count = len(pixels)
    return exposed(
        pixels,
        gain=(source.normal(0.15, count, 1) + source.normal(0.05, count, 3)).exp(),
        gamma=source.normal(0.2, count).exp(),
        saturation=source.uniform(0.3, 1.4, count),
        contrast=source.uniform(0.7, 1.3, count),
        brightness=source.normal(8, count),
    )


def exposed(
    pixels: Tensor, *, gain: Tensor, gamma: Tensor, saturation: Tensor, contrast: Tensor, brightness: Tensor
) -> Tensor:
    """Expose each image anew: gamma and gain, then distance from grey, from the mean, and an offset.

    Parameters
    ----------
    pixels
        float32 (N, 3, H, W); what lies outside of 0..255 is cut off first.
    gain
        float32 (N, 3).
    gamma, saturation, contrast, brightness
        float32 (N,); with 1, 1, 1 and 0, and a gain of 1, nothing changes.

    Returns
    -------
    float32 (N, 3, H, W), which may lie outside of 0..255.
    """
    torch = require("torch", extra="train")
    pixels = (pixels.clamp(0, 255) / 255).pow_(_per_image(gamma)).mul_(_per_image(255 * gain))
    grey = pixels.mean(dim=1, keepdim=True)
    middle = grey.mean(dim=(2, 3), keepdim=True)
    pixels = torch.lerp(grey, pixels, _per_image(saturation))
    return torch.lerp(middle, pixels, _per_image(contrast)).add_(_per_image(brightness))  # type: ignore[no-any-return]


def _add_grain(pixels: Tensor, source: _Source) -> None:
    """Add sensor grain to six tenths, fine or as coarse as a phone's denoiser leaves it; partly in colour."""
    rows = source.rows(0.6, len(pixels))
    count, (height, width) = len(rows), pixels.shape[2:]
    coarse, strength = source.integers(1, 3, count), source.uniform(1, 9, count)
    grain = source.normal(0.4, count, 3, height, width)
    for grain_px in (1, 2, 3):
        these = (coarse == grain_px).nonzero()[:, 0]
        light = source.normal(1, len(these), 1, math.ceil(height / grain_px), math.ceil(width / grain_px))
        grain[these] += light if grain_px == 1 else _enlarged(light, (height, width))
    pixels[rows] += grain.mul_(_per_image(strength))


def _enlarged(small: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge by bicubic interpolation; with `antialias` torch uses the same curve as Pillow, a = -0.5."""
    torch = require("torch", extra="train")
    larger: Tensor = torch.nn.functional.interpolate(small, size=size, mode="bicubic", antialias=True)
    return larger


def _compress(pixels: Tensor, source: _Source) -> None:
    """Save four tenths as JPEG and read them back."""
    rows = source.rows(0.4, len(pixels))
    pixels[rows] = recompressed(pixels[rows], quality=source.integers(35, 95, len(rows)))


def recompressed(pixels: Tensor, *, quality: Tensor) -> Tensor:
    """Return what is left of each image once it was saved as JPEG with halved colour (4:2:0) and read back.

    Parameters
    ----------
    pixels
        float32 (N, 3, H, W), whole numbers 0..255.
    quality
        int64 (N,), 1 to 100, as in libjpeg and Pillow.

    Returns
    -------
    float32 (N, 3, H, W), whole numbers 0..255.

    Notes
    -----
    Differs from Pillow's own by rounding: libjpeg's transforms are in integers. The coding itself is without loss and
    left out.

    Examples
    --------
    >>> import torch
    >>> recompressed(torch.full((1, 3, 5, 7), 90.0), quality=torch.tensor([50])).unique()
    tensor([90.])
    """
    torch = require("torch", extra="train")
    height, width = pixels.shape[2:]
    padded = torch.nn.functional.pad(pixels, (0, -width % 16, 0, -height % 16), mode="replicate")
    planes = _mixed(padded - 128, _TO_LIGHT).round_()
    light = _rounded_blocks(planes[:, :1], _LIGHT_ROUNDING, quality)
    small = torch.nn.functional.avg_pool2d(planes[:, 1:], 2).round_()
    colour = torch.nn.functional.interpolate(
        _rounded_blocks(small, _COLOUR_ROUNDING, quality), scale_factor=2, mode="bilinear", align_corners=False
    )
    result = _mixed(torch.cat([light, colour], dim=1), _FROM_LIGHT).add_(128).round_().clamp_(0, 255)
    return result[..., :height, :width]


def _mixed(pixels: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Mix the three planes of each image."""
    torch = require("torch", extra="train")
    return (torch.tensor(matrix, device=pixels.device) @ pixels.flatten(2)).view_as(pixels)  # type: ignore[no-any-return]


def _rounded_blocks(planes: Tensor, rounding: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Round the cosine transform of each block of 8 x 8 px as coarsely as the quality says; sides are whole blocks."""
    torch = require("torch", extra="train")
    step = _rounding_steps(rounding, quality).to(planes.dtype)[:, None, None, :, None, :]
    cosine = _cosine_transform(planes.device)
    strips = cosine @ torch.unflatten(planes, 2, (-1, 8))
    frequencies = torch.unflatten(strips, 4, (-1, 8)) @ cosine.T
    strips = (torch.round(frequencies / step).mul_(step) @ cosine).flatten(4)
    return (cosine.T @ strips).flatten(2, 3).round_().clamp_(-128, 127)  # type: ignore[no-any-return]


def _rounding_steps(rounding: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """Scale a table of quality 50 to the quality of each image as libjpeg does, int64 (N, 8, 8)."""
    torch = require("torch", extra="train")
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None, None]
    return ((torch.tensor(rounding, device=quality.device) * percent + 50) // 100).clamp(1, 255)  # type: ignore[no-any-return]


def _cosine_transform(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of 8 values, float32 (8, 8), frequencies by rows."""
    torch = require("torch", extra="train")
    number = torch.arange(8, device=device)
    cosine = torch.cos(math.pi / 16 * number[:, None] * (2 * number + 1)) / 2
    cosine[0] /= math.sqrt(2)
    return cosine  # type: ignore[no-any-return]
