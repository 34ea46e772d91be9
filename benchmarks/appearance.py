"""Cheap statistics of small pictures of paint, and how far two collections of them are apart.

They say nothing of shapes, only whether brightness, colour, contrast, sharpness and noise are like those of photos.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Crops = list[NDArray[np.uint8]]
Floats = NDArray[np.floating[Any]]

SIDE = 256
LUMA = np.float32([0.2126, 0.7152, 0.0722])  # Rec. ITU-R BT.709
OCTAVES = tuple((2**k, 2 ** (k + 1)) for k in range(7))  # cycles per crop
# What is pooled over all pixels, with its bins.
PIXELS = {
    "luminance": np.linspace(0, 255, 52),
    "red - green": np.linspace(-128, 128, 129),
    "yellow - blue": np.linspace(-128, 128, 129),
    "gradient (log10)": np.linspace(-1, 2.5, 71),
}
# What each crop has one number of.
NUMBERS = ("noise (log10)", "channel correlation")
OCTAVE_NAMES = tuple(f"{low}-{high} cycles" for low, high in OCTAVES)
STATISTICS = (*PIXELS, *NUMBERS, *OCTAVE_NAMES)
COLOUR_FREE = ("gradient", "noise", "cycles")


def structure(crop: NDArray[np.uint8]) -> float:
    """Give the mean gradient relative to the brightness, after averaging 8 x 8 px so that noise does not count."""
    coarse = (crop @ LUMA).reshape(SIDE // 8, 8, SIDE // 8, 8).mean(axis=(1, 3))
    down, across = np.gradient(np.log(coarse + 8))
    return float(np.hypot(down, across).mean())


def describe(crops: Crops) -> dict[str, Floats]:
    """Give (n, bins) shares for what is in `PIXELS`, and (n,) numbers for the rest of `STATISTICS`."""
    rows = [_describe_one(crop) for crop in crops]
    return {name: np.stack([row[name] for row in rows]) for name in STATISTICS}


def _describe_one(crop: NDArray[np.uint8]) -> dict[str, Floats]:
    colours = crop.astype(np.float32)
    r, g, b = np.moveaxis(colours, -1, 0)
    level = colours @ LUMA
    down, across = np.gradient(level)
    values = {
        "luminance": level,
        "red - green": r - g,
        "yellow - blue": (r + g) / 2 - b,
        "gradient (log10)": np.log10(np.hypot(down, across) + 0.1),
    }
    found: dict[str, Floats] = {}
    for name, bins in PIXELS.items():
        counts, _ = np.histogram(values[name].clip(bins[0], bins[-1]), bins)
        found[name] = counts / counts.sum()
    found["noise (log10)"] = np.log10(np.median(np.abs(_detail(level))) + 0.05)
    fine = _detail(colours).reshape(-1, 3)
    fine = fine - fine.mean(axis=0)
    power = np.maximum((fine**2).mean(axis=0), 1e-6)
    pairs = [(fine[:, 0] * fine[:, 1]).mean() / np.sqrt(power[0] * power[1])]
    pairs += [(fine[:, 1] * fine[:, 2]).mean() / np.sqrt(power[1] * power[2])]
    found["channel correlation"] = np.mean(pairs)
    return {**found, **dict(zip(OCTAVE_NAMES, _spectrum(level), strict=True))}


def _detail(a: Floats) -> Floats:
    """Give the Laplacian: what a pixel has that its four neighbours have not."""
    return 4 * a[1:-1, 1:-1] - a[2:, 1:-1] - a[:-2, 1:-1] - a[1:-1, 2:] - a[1:-1, :-2]


def _spectrum(level: Floats) -> list[Floats]:
    """Give log10 of the mean power in rings of the spectrum an octave wide."""
    bell = np.hanning(SIDE)
    power = np.abs(np.fft.fft2((level - level.mean()) * bell[:, None] * bell)) ** 2 / SIDE**2
    cycles = np.fft.fftfreq(SIDE, 1 / SIDE)
    ring = np.hypot(cycles[:, None], cycles)
    return [np.log10(power[(ring >= low) & (ring < high)].mean() + 1e-3) for low, high in OCTAVES]


def distance(a: dict[str, Floats], b: dict[str, Floats], name: str) -> float:
    """Give the 1-D Wasserstein distance between pooled distributions, in the statistic's own unit."""
    from scipy.stats import wasserstein_distance

    if name not in PIXELS:
        return float(wasserstein_distance(a[name], b[name]))
    middles = (PIXELS[name][1:] + PIXELS[name][:-1]) / 2
    return float(wasserstein_distance(middles, middles, a[name].mean(axis=0), b[name].mean(axis=0)))


def between_halves(
    real: dict[str, Floats], groups: NDArray[np.intp], name: str, rng: np.random.Generator, rounds: int = 20
) -> float:
    """Give the mean distance between two random halves of the groups: what chance alone makes of it."""
    found = []
    for _ in range(rounds):
        first = np.isin(groups, rng.permutation(np.unique(groups))[::2])
        halves = ({name: real[name][own]} for own in (first, ~first))
        found.append(distance(*halves, name))
    return float(np.mean(found))


def features(found: dict[str, Floats]) -> tuple[NDArray[np.float64], list[str]]:
    """Give one row of numbers a crop, and their names: the plain ones, and mean, spread and quantiles of the others."""
    columns: dict[str, Floats] = {name: found[name] for name in (*NUMBERS, *OCTAVE_NAMES)}
    for name, bins in PIXELS.items():
        middles, shares = (bins[1:] + bins[:-1]) / 2, found[name]
        mean = shares @ middles
        columns[f"{name}, mean"] = mean
        columns[f"{name}, spread"] = np.sqrt(np.maximum(shares @ middles**2 - mean**2, 0))
        rising = shares.cumsum(axis=1)
        for share in (0.05, 0.5, 0.95):
            columns[f"{name}, {100 * share:.0f} %"] = middles[(rising < share).sum(axis=1).clip(0, middles.size - 1)]
    return np.column_stack(list(columns.values())).astype(float), list(columns)


def told_apart(
    a: NDArray[np.float64], b: NDArray[np.float64], groups_a: NDArray[np.intp], groups_b: NDArray[np.intp]
) -> dict[str, float]:
    """Give two classifiers' balanced accuracy at telling a from b, over five folds of whole groups; 0.5 = cannot."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.concatenate([a, b])
    is_b = np.repeat([0, 1], [len(a), len(b)])
    groups = np.concatenate([groups_a, groups_b + 1_000_000])
    known = {
        "logistic regression": make_pipeline(
            StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced", max_iter=2000)
        ),
        "random forest": RandomForestClassifier(
            300, min_samples_leaf=3, class_weight="balanced", random_state=0, n_jobs=1
        ),
    }
    found = {}
    for name, classifier in known.items():
        said = cross_val_predict(classifier, rows, is_b, groups=groups, cv=GroupKFold(5))
        found[name] = round(float(balanced_accuracy_score(is_b, said)), 3)
    return found


def most_telling(a: NDArray[np.float64], b: NDArray[np.float64], names: list[str], count: int = 8) -> dict[str, float]:
    """Give the numbers that alone tell a from b best: area under the ROC curve, 0.5 = cannot, below = b has less."""
    from sklearn.metrics import roc_auc_score

    is_b = np.repeat([0, 1], [len(a), len(b)])
    areas = {n: float(roc_auc_score(is_b, np.concatenate([a[:, k], b[:, k]]))) for k, n in enumerate(names)}
    ranked = sorted(areas, key=lambda name: -abs(areas[name] - 0.5))
    return {name: round(areas[name], 3) for name in ranked[:count]}
