from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from surfacedefect.errors import TrainingError
from surfacedefect.training import samples

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from surfacedefect.training import augment  # noqa: E402
from surfacedefect.training.augment import (  # noqa: E402
    LARGEST_SIGMA,
    SPECK_REACH,
    disturb,
    exposed,
    recompressed,
    sharpened,
    speck_light,
)

CPU = torch.device("cpu")


def surface(height=120, width=150, *, noise=4.0, seed=0):
    """Soft light over coloured paint with grain, a dark and a bright line, a red patch: uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    planes = [100 + 50 * np.sin(columns / 40), 120 + 40 * np.cos(rows / 33), 130 - 30 * np.sin((rows + columns) / 50)]
    pixels = np.stack(planes, axis=-1) + rng.normal(0, noise, (height, width, 1))
    pixels += rng.normal(0, noise / 2, (height, width, 3))
    pixels[height // 3 : height // 3 + 2, width // 8 :] = [40, 35, 50]
    pixels[height // 2 :, width // 5 : width // 5 + 3] = 225
    pixels[height // 5 : height // 4, width // 2 : width // 2 + 12] = [200, 50, 40]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def source(seed):
    return augment._Source(seeded(seed), CPU)


def planar(*images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().contiguous()


def array_of(pixels):
    return pixels.permute(0, 2, 3, 1).numpy()


def copies(image, count):
    return torch.from_numpy(image).expand(count, *image.shape)


def saved_by_pillow(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(buffer), np.float32)


def by_pillow(image, picture_filter):
    return np.asarray(Image.fromarray(image).filter(picture_filter), np.float32)


def largest_gap(one, other):
    """Largest distance of two empirical distributions, in [0, 1] (Kolmogorov and Smirnov)."""
    values = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(part), values, side="right") / len(part) for part in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


# --- the whole ---


def test_the_seed_decides_and_nothing_else():
    images = copies(surface(), 4)
    kept, state = images.clone(), torch.random.get_rng_state()
    one = disturb(images, generator=seeded(3))
    torch.rand(5)
    assert torch.equal(one, disturb(images, generator=seeded(3)))
    assert not torch.equal(one, disturb(images, generator=seeded(4)))
    assert torch.equal(images, kept), "the argument stays as it is"
    torch.random.set_rng_state(state)
    disturb(images, generator=seeded(3))
    assert torch.equal(torch.random.get_rng_state(), state), "nor does it draw from torch's own generator"


def test_the_number_of_threads_has_no_say():
    images, threads = copies(surface(100, 100), 4), torch.get_num_threads()
    results = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(disturb(images, generator=seeded(2)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


def test_each_image_is_disturbed_otherwise():
    results = disturb(copies(surface(48, 48), 30), generator=seeded(1))
    assert len({result.numpy().tobytes() for result in results}) == 30


@pytest.mark.parametrize("shape", [(3, 1, 1), (8, 5, 7), (0, 32, 32), (1, 64, 64), (2, 300, 300), (4, 33, 190)])
def test_any_size_will_do(shape):
    images = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=seeded(0))
    for seed in range(4):
        result = disturb(images, generator=seeded(seed))
        assert (result.shape, result.dtype, result.is_contiguous()) == (images.shape, torch.uint8, True)


def test_other_memory_layouts_give_the_same():
    images = copies(surface(40, 56), 5)
    turned = images.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(disturb(images, generator=seeded(1)), disturb(turned, generator=seeded(1)))


@pytest.mark.parametrize("level", [0, 120, 255])
def test_a_plain_image_keeps_its_level_about(level):
    plain = torch.full((60, 32, 32, 3), level, dtype=torch.uint8)
    means = disturb(plain, generator=seeded(1)).float().mean(dim=(1, 2, 3)).numpy()
    theirs = [samples.disturb(plain[0].numpy(), np.random.default_rng(seed)).mean() for seed in range(60)]
    assert largest_gap(means, theirs) < 0.3
    assert np.isfinite(means).all() and abs(np.median(means) - level) < 25, "black does not turn white by overflow"


def test_a_damaged_line_remains_visible():
    image = np.full((64, 64, 3), 130, np.uint8)
    image[31:33, 6:58] = 70
    results = disturb(copies(image, 200), generator=seeded(1)).float().mean(dim=3)
    line, beside = results[:, 31:33, 6:58].mean(dim=(1, 2)), results[:, [22, 26, 38, 42], 6:58].mean(dim=(1, 2))
    assert (beside - line).min() > 12
    assert (beside - line).median() > 40


def numbers_of(images):
    """What a camera changes, one figure an image each: light, contrast, colour, edges, grain, blocks."""
    pixels = images.astype(np.float64)
    grey = pixels.mean(axis=3)
    level = np.abs(np.diff(grey, axis=2))
    smooth = (grey[:, :-2] + grey[:, 2:]) / 2
    seams = level[:, :, 7::8].mean(axis=(1, 2)) / level[:, :, 3::8].mean(axis=(1, 2))
    return {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "cast": pixels.mean(axis=(1, 2))[:, 0] - pixels.mean(axis=(1, 2))[:, 2],
        "colour": pixels.std(axis=3).mean(axis=(1, 2)),
        "colour grain": np.abs(np.diff(pixels - grey[..., None], axis=2)).mean(axis=(1, 2, 3)),
        "sharpness": level.mean(axis=(1, 2)),
        "noise": np.median(np.abs(grey[:, 1:-1] - smooth), axis=(1, 2)),
        "blocks": seams,
    }


def test_the_results_are_spread_as_those_of_the_numpy_version():
    image, count = surface(56, 64), 400
    ours = numbers_of(disturb(copies(image, count), generator=seeded(5)).numpy())
    theirs = numbers_of(np.stack([samples.disturb(image, np.random.default_rng([5, k])) for k in range(count)]))
    gaps = {name: largest_gap(ours[name], theirs[name]) for name in ours}
    assert max(gaps.values()) < 0.115, gaps  # two samples of 400 from one distribution: 1 in 100 is above 0.115


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_but_for_rounding():
    images = copies(surface(), 12)
    expected = disturb(images, generator=seeded(1)).float()
    found = disturb(images.cuda(), generator=seeded(1))
    assert found.is_cuda
    assert (found.cpu().float() - expected).abs().mean() < 0.1
    drawn = torch.Generator("cuda")
    first, again = (disturb(images.cuda(), generator=drawn.manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), "ndarray"),
        (torch.zeros((2, 8, 8, 3)), "torch.float32"),
        (torch.zeros((8, 8, 3), dtype=torch.uint8), r"\(8, 8, 3\)"),
        (torch.zeros((2, 3, 8, 8), dtype=torch.uint8), r"\(2, 3, 8, 8\)"),
        (torch.zeros((2, 0, 8, 3), dtype=torch.uint8), r"\(2, 0, 8, 3\)"),
    ],
)
def test_other_input_is_refused(images, found):
    with pytest.raises(TrainingError, match=rf"{found}.*expected a uint8 tensor \(N, H, W, 3\)"):
        disturb(images, generator=seeded(1))


# --- each step against its counterpart ---


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.0, 1.6, LARGEST_SIGMA])
def test_a_blur_is_pillows_but_for_its_rounding(sigma):
    image = surface()
    found = array_of(sharpened(planar(image), sigma=torch.tensor([sigma]), amount=torch.tensor([-1.0])))[0]
    difference = np.abs(found - by_pillow(image, ImageFilter.GaussianBlur(sigma)))
    assert difference.mean() < 0.85  # Pillow rounds to whole levels six times
    assert difference.max() < 4


@pytest.mark.parametrize(("sigma", "percent"), [(0.6, 60), (0.6, 249), (1.2, 150), (2.0, 249)])
def test_an_unsharp_mask_is_pillows_but_for_its_rounding(sigma, percent):
    image = surface()
    found = sharpened(planar(image), sigma=torch.tensor([sigma]), amount=torch.tensor([percent / 100]))
    expected = by_pillow(image, ImageFilter.UnsharpMask(sigma, percent, 0))
    difference = array_of(found.clamp(0, 255))[0] - expected
    assert np.abs(difference).mean() < max(0.85 * percent / 100, 0.85)
    assert abs(difference.mean()) < 0.6 * percent / 100, "no brighter, no darker"


def test_sharpness_is_changed_image_by_image():
    images = planar(surface(seed=1), surface(seed=2), surface(seed=3))
    sigma, amount = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([-1.0, 0.0, 2.0])
    together = sharpened(images, sigma=sigma, amount=amount)
    for number in range(3):
        alone = sharpened(images[[number]], sigma=sigma[[number]], amount=amount[[number]])
        assert torch.equal(together[[number]], alone)
    assert torch.allclose(together[1], images[1], atol=1e-3), "an amount of 0 changes nothing"
    plain = torch.full((1, 3, 9, 9), 77.0)
    assert torch.allclose(sharpened(plain, sigma=sigma[:1], amount=amount[2:]), plain, atol=1e-3), "edges are no step"


def test_specks_are_discs_wherever_they_lie():
    rng = np.random.default_rng(0)
    height, width, count = 40, 30, 25
    row, column = rng.integers(height, size=(2, count)), rng.integers(width, size=(2, count))
    row[0, :4], column[0, :4] = [0, 0, height - 1, height - 1], [0, width - 1, 0, width - 1]
    radius, light = rng.uniform(0.6, SPECK_REACH, (2, count)), rng.normal(0, 45, (2, count))
    radius[0, :4] = SPECK_REACH
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - row[..., None, None], columns - column[..., None, None])
    expected = (np.clip(radius[..., None, None] + 0.5 - distance, 0, 1) * light[..., None, None]).sum(axis=1)
    found = speck_light(
        *(torch.from_numpy(part) for part in (row, column)),
        radius=torch.from_numpy(radius),
        light=torch.from_numpy(light),
        size=(height, width),
    )
    np.testing.assert_allclose(found.numpy(), expected, atol=count / 1024)


def test_exposure_follows_the_numpy_version_step_by_step():
    rng = np.random.default_rng(0)
    images = planar(surface(seed=1), surface(seed=2)) * 1.4 - 40
    gain, gamma = rng.uniform(0.7, 1.3, (2, 3)), rng.uniform(0.7, 1.4, 2)
    saturation, contrast, brightness = rng.uniform(0.3, 1.4, 2), rng.uniform(0.7, 1.3, 2), rng.normal(0, 8, 2)
    figures = {"gain": gain, "gamma": gamma, "saturation": saturation, "contrast": contrast, "brightness": brightness}
    found = array_of(exposed(images, **{name: torch.from_numpy(part).float() for name, part in figures.items()}))
    for number, image in enumerate(array_of(images)):
        expected = (np.clip(image, 0, 255) / 255) ** gamma[number] * 255 * gain[number]
        mean = expected.mean(axis=2, keepdims=True)
        expected = mean + (expected - mean) * saturation[number]
        middle = expected.mean()
        expected = middle + (expected - middle) * contrast[number] + brightness[number]
        np.testing.assert_allclose(found[number], expected, atol=0.01)


@pytest.mark.parametrize(("small", "size"), [((20, 15), (40, 30)), ((14, 11), (40, 31)), ((1, 1), (2, 1))])
def test_coarse_grain_is_enlarged_as_pillow_does(small, size):
    light = np.random.default_rng(0).normal(0, 1, small).astype(np.float32)
    expected = np.asarray(Image.fromarray(light).resize(size[::-1], Image.Resampling.BICUBIC))
    found = augment._enlarged(torch.from_numpy(light)[None, None], size)[0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("quality", [35, 49, 50, 75, 90, 95])
def test_jpeg_is_pillows_but_for_its_rounding(quality):
    image = surface(133, 150)
    found = array_of(recompressed(planar(image), quality=torch.tensor([quality])))[0]
    expected = saved_by_pillow(image, quality)
    assert np.abs(found - expected).mean() < 0.9
    assert (np.abs(found - expected) > 3).mean() < 0.04, "where a frequency lies between two steps"
    lost, lost_by_pillow = np.abs(found - image).mean(), np.abs(expected - image).mean()
    assert lost == pytest.approx(lost_by_pillow, rel=0.02)
    np.testing.assert_array_equal(found, np.clip(np.round(found), 0, 255))


def test_jpeg_takes_the_quality_of_each_image():
    images = planar(surface(seed=1), surface(seed=1), surface(seed=2))
    quality = torch.tensor([35, 95, 60])
    together = recompressed(images, quality=quality)
    for number in range(3):
        alone = recompressed(images[[number]], quality=quality[[number]])
        assert (together[[number]] - alone).abs().mean() < 0.01
    lost = (together - images).abs().mean(dim=(1, 2, 3))
    assert lost[0] > 1.5 * lost[1]


def test_rounding_steps_are_libjpegs():
    buffer = io.BytesIO()
    Image.fromarray(surface(16, 16)).save(buffer, "JPEG", quality=37)
    with Image.open(buffer) as picture:
        tables = [np.reshape(picture.quantization[number], (8, 8)) for number in (0, 1)]
    for rounding, table in zip((augment._LIGHT_ROUNDING, augment._COLOUR_ROUNDING), tables, strict=True):
        np.testing.assert_array_equal(augment._rounding_steps(rounding, torch.tensor([37]))[0].numpy(), table)


# --- how often, and how much ---


def changed(before, after):
    return (before != after).flatten(1).any(dim=1).float().mean().item()


def test_the_steps_are_taken_as_often_as_they_should():
    count = 3000
    textured = torch.randint(60, 190, (1, 3, 12, 12), generator=seeded(0)).float().expand(count, -1, -1, -1)
    spread = textured[0].std()

    pixels = textured.clone()
    augment._change_sharpness(pixels, source(1))
    after = pixels.std(dim=(1, 2, 3))
    assert (after < 0.99 * spread).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert (after > 1.01 * spread).float().mean().item() == pytest.approx(0.3, abs=0.03)

    for step, share in ((augment._add_specks, 0.3), (augment._add_grain, 0.6), (augment._compress, 0.4)):
        pixels = textured.clone()
        step(pixels, source(2))
        assert changed(textured, pixels) == pytest.approx(share, abs=0.03), step.__name__


@pytest.fixture
def figures_of(monkeypatch):
    """Run a step on 4000 dots and return the figures that it hands to the function of that name."""

    def caught(step, name):
        function, figures = getattr(augment, name), {}

        def look(pixels, **given):
            figures.update({key: value.double().numpy() for key, value in given.items()})
            return function(pixels, **given)

        monkeypatch.setattr(augment, name, look)
        step(torch.full((4000, 3, 1, 1), 128.0), source(7))
        return figures

    return caught


def is_even(values, low, high):
    """Say whether values are spread evenly from `low` to `high`: each tenth holds a tenth, by five deviations or so."""
    counts = np.histogram(values, bins=10, range=(low, high))[0]
    few = 5 * math.sqrt(len(values) * 0.1 * 0.9)
    return values.min() >= low and values.max() <= high and np.abs(counts - len(values) / 10).max() < few


def test_sharpness_is_drawn_from_the_ranges_of_the_numpy_version(figures_of):
    figures = figures_of(augment._change_sharpness, "sharpened")
    blurred = figures["amount"] == -1
    assert is_even(figures["sigma"][blurred], 0.4, 1.6)
    assert is_even(figures["sigma"][~blurred], 0.6, 2.0)
    assert is_even(figures["amount"][~blurred], 0.6, 2.49 + 1e-6)


def test_exposure_is_drawn_from_the_spreads_of_the_numpy_version(figures_of):
    figures = figures_of(augment._expose, "exposed")
    light, gamma = np.log(figures["gain"]), np.log(figures["gamma"])
    assert light.mean(axis=1).std() == pytest.approx(math.hypot(0.15, 0.05 / math.sqrt(3)), rel=0.05)
    assert light.std(axis=1, ddof=1).mean() == pytest.approx(0.05 * 0.886, rel=0.05)  # c4 of three values is 0.886
    assert gamma.std() == pytest.approx(0.2, rel=0.05)
    assert figures["brightness"].std() == pytest.approx(8, rel=0.05)
    for middle, spread in ((light.mean(axis=1), 0.15), (gamma, 0.2), (figures["brightness"], 8)):
        assert abs(middle.mean()) < 0.08 * spread
    assert is_even(figures["saturation"], 0.3, 1.4)
    assert is_even(figures["contrast"], 0.7, 1.3)


def test_quality_is_drawn_from_the_range_of_the_numpy_version(figures_of):
    quality = figures_of(augment._compress, "recompressed")["quality"]
    assert set(quality) == set(range(35, 96))
    assert is_even(quality, 34.5, 95.5)


def test_levels_are_rounded_not_cut(monkeypatch):
    monkeypatch.setattr(augment, "_expose", lambda pixels, source: torch.full_like(pixels, 99.7))
    results = disturb(copies(surface(16, 16), 40), generator=seeded(1)).flatten(1)
    plain = results[results.amin(dim=1) == results.amax(dim=1)]
    assert len(plain) > 8 and plain.unique().tolist() == [100]


def test_specks_are_as_many_and_as_strong_as_in_the_numpy_version():
    count, side = 1000, 64
    pixels = torch.full((count, 3, side, side), 128.0)
    augment._add_specks(pixels, source(3))
    assert torch.equal(pixels[:, 0], pixels[:, 2]), "dirt is grey"
    ours = np.abs(pixels[:, 0].clamp(0, 255).round().numpy() - 128)
    ours = ours[ours.any(axis=(1, 2))]
    plain = np.full((side, side, 3), 128, np.uint8)
    specked = np.stack([samples._specked(plain, np.random.default_rng([3, k]))[..., 0] for k in range(300)])
    theirs = np.abs(specked.astype(np.float32) - 128)
    for figure in (lambda light: (light > 2).mean(axis=(1, 2)), lambda light: light.mean(axis=(1, 2))):
        assert largest_gap(figure(ours), figure(theirs)) < 0.12


def test_grain_is_as_strong_and_as_coarse_as_in_the_numpy_version():
    count, side = 500, 48
    pixels = torch.zeros((count, 3, side, side))
    augment._add_grain(pixels, source(4))
    ours = array_of(pixels)
    ours = ours[ours.any(axis=(1, 2, 3))]
    theirs = np.stack([samples._grain((side, side, 3), np.random.default_rng([4, k])) for k in range(300)])
    figures = {
        "strength": lambda grain: grain.std(axis=(1, 2, 3)),
        "colour": lambda grain: (grain - grain.mean(axis=3, keepdims=True)).std(axis=(1, 2, 3)),
        "coarseness": lambda grain: (grain[:, 1:] * grain[:, :-1]).mean(axis=(1, 2, 3)) / grain.var(axis=(1, 2, 3)),
    }
    for name, figure in figures.items():
        assert largest_gap(figure(ours), figure(theirs)) < 0.14, name
    finest, middle, coarsest = np.quantile(figures["coarseness"](ours), [1 / 6, 1 / 2, 5 / 6])
    assert abs(finest) < 0.05 < 0.3 < middle < coarsest < 0.8 and math.isfinite(coarsest)
