"""Deflectometry: a panel mirrors a fringe pattern, and where the fringes bend more than a smooth panel's, it is dented.

From one picture of a panel that mirrors a screen with fringes of known period:

1. The local mean of the light is taken away, and what sticks out of the fringes is pulled in.
2. The carrier, the fringes' frequency on the smooth panel, is measured in blocks and fitted by a polynomial; the
   picture is shifted by it and low-pass filtered (the Fourier-transform method of Takeda, Ina and Kobayashi 1982, with
   a local window as in Kemao 2004). That gives phase and modulation of each set of fringes.
3. The phase tells which point of the screen a pixel mirrors, so the panel's slope, and how fast it turns the curvature
   (Knauer, Kaminski and Häusler 2004). Curvature that the surroundings do not have is a shallow dent.
4. A deeper dent folds the fringes over: light and dark follow each other faster or slower than the low pass lets
   through. The share of the fringes that the demodulated ones do not explain is the second sign of a dent.
5. Both are compared with their noise, estimated once for a scan. Places without fringes, and lines that run from border
   to border (feature lines, gaps), are left out.

One picture of a single pattern gives one component of the slope, that along which its intensity varies; a crossed
pattern gives both.

References
----------
M. Takeda, H. Ina and S. Kobayashi, "Fourier-transform method of fringe-pattern analysis for computer-based topography
and interferometry", J. Opt. Soc. Am. 72 (1982) 156-160. Q. Kemao, "Windowed Fourier transform for fringe pattern
analysis", Appl. Opt. 43 (2004) 2695-2702. M. C. Knauer, J. Kaminski and G. Häusler, "Phase measuring deflectometry: a
new approach to measure specular free-form surfaces", Proc. SPIE 5457 (2004) 366-376.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from surfacedefect._checks import expect
from surfacedefect._words import type_name
from surfacedefect.baselines._fringes import (
    Floats,
    Fringes,
    Grid,
    lines_across,
    turning,
    usual,
    without_fringes,
)
from surfacedefect.baselines._slopes import (
    FringeGeometry,
    SlopeField,
    checked_geometry,
    checked_image,
    fringes_of,
    slope_field,
)
from surfacedefect.card import ModelCard
from surfacedefect.errors import PredictorError, ScanError
from surfacedefect.predictor import Probabilities, Windows
from surfacedefect.windows import lay_axis

if TYPE_CHECKING:
    from surfacedefect.scan import Scan, ScanSource

__all__ = [
    "KINDS",
    "MIDDLE_Z",
    "STEEPNESS",
    "Deflectometry",
    "FringeGeometry",
    "FringeNoise",
    "SlopeField",
    "deflectometry_card",
    "slope_field",
]

KINDS = ("dent",)
MIDDLE_Z = 6.0
"""The z-score that stands for a probability of one half."""
STEEPNESS = 3.0
"""Slope of the log-odds over the logarithm of the z-score."""

_WINDOW_PX, _WINDOW_PERIODS = 2048, 17
_LEAST_SPREAD = 0.03  # of the broken share: what flawless pictures would have none of
_LEAST_BEND = 0.018  # of the curvature, over the distance to the screen
_CURVATURE_WEIGHT = 0.75  # curvature has longer tails than the broken share
_WIDTHS = (0.18, 0.36, 0.72)  # blurs of the curvature, in diameters of the smallest dent; a band is one less the next
_OPENING = 0.3  # narrower peaks are no dents, in diameters of the smallest
_LINE = 2.5  # shortest feature line, in diameters of the largest dent


@dataclass(frozen=True)
class FringeNoise:
    """What both signs of a dent amount to on an undamaged panel, the medians over a scan.

    Attributes
    ----------
    energy
        Mean square of the light in the fringes around their mean; a quarter of it or less counts as no fringes.
    broken, broken_spread
        Share of the fringes that a smooth panel does not explain, and its robust standard deviation.
    curvature_spread
        Robust standard deviations of the curvature, in 1/mm, one a band of widths.
    """

    energy: float
    broken: float
    broken_spread: float
    curvature_spread: tuple[float, ...]


def deflectometry_card(geometry: FringeGeometry, name: str = "deflectometry", **changes: Any) -> ModelCard:
    """Return the card of deflectometry: one kind, ``"dent"``, and windows large enough for the panel around a dent.

    Parameters
    ----------
    geometry
        How the scans are taken: a window is 2048 px, or 17 fringes where those are longer.
    name
        Name of the model.
    changes
        Other entries of `ModelCard`, such as ``thresholds``.

    Examples
    --------
    >>> card = deflectometry_card(FringeGeometry(mm_per_px=0.1))
    >>> card.kinds, card.window_px, card.overlap_px, card.threshold("dent")
    (('dent',), 2048, 768, 0.5)
    """
    checked_geometry(geometry)
    window_px = max(_WINDOW_PX, round(_WINDOW_PERIODS * geometry.flat_period_px))
    narrow_px = _OPENING * geometry.dent_mm[0] / geometry.mm_per_px
    values = {
        "kinds": KINDS, "window_px": window_px, "overlap_px": 3 * window_px // 8, "thresholds": {"dent": 0.5},
        "least_area_px": float(max(30, round(narrow_px**2))), "simplify_px": 1.0,
        "summary": "Dents by deflectometry, from one picture of a panel that mirrors a fringe pattern.",
    }  # fmt: skip
    return ModelCard(name=name, **{**values, **changes})


class Deflectometry:
    """Deflectometry as a `Predictor`: the probability of kind ``"dent"`` rises with a robust z-score.

    The probability is logistic in the logarithm of the z-score, 1 / (1 + (6 / z) ** 3), and 0 for z <= 0: z = 6 is
    one half, z = 12 is 0.89. It is a monotone measure, not calibrated on any data.

    Parameters
    ----------
    geometry
        How the scans are taken.
    noise
        What an undamaged panel looks like; None estimates it in every window by itself, which makes a window full of
        dents look normal. `fitted` takes the whole scan instead.
    card
        What it claims to be; None takes `deflectometry_card`. A scan smaller than its window is filled by reflection,
        which kinks the fringes at its border; `fitted` makes the window smaller.

    Raises
    ------
    OptionError
        The card has other kinds than ``("dent",)``, or an argument is of another type.

    Examples
    --------
    >>> y, x = np.mgrid[:640, :640] + 0.5
    >>> bump = 16 * (1 - ((x - 300) ** 2 + (y - 340) ** 2) / 80**2).clip(0) ** 3  # of the phase, in rad
    >>> wave = np.cos(2 * np.pi * x / 60 + bump) + np.cos(2 * np.pi * y / 60 + bump)
    >>> picture = np.repeat((120 + 50 * wave).astype(np.uint8)[..., None], 3, axis=2)
    >>> from surfacedefect import Detector
    >>> dents = Detector(Deflectometry.fitted(picture, FringeGeometry(mm_per_px=0.2))).detect(picture)
    >>> [(dent.kind, round(dent.polygon.centroid.x, -2), round(dent.polygon.centroid.y, -2)) for dent in dents]
    [('dent', 300.0, 300.0)]
    """

    def __init__(
        self, geometry: FringeGeometry, *, noise: FringeNoise | None = None, card: ModelCard | None = None
    ) -> None:
        self.geometry = checked_geometry(geometry)
        for name, value, kind in (("noise", noise, FringeNoise), ("card", card, ModelCard)):
            good = value is None or isinstance(value, kind)
            expect(good, name, value, f"a {kind.__name__} or None")
        self.noise = noise
        self._card = deflectometry_card(geometry) if card is None else card
        expect(self._card.kinds == KINDS, "kinds of the card", self._card.kinds, repr(KINDS))

    @classmethod
    def fitted(cls, scan: ScanSource | Scan, geometry: FringeGeometry, *, card: ModelCard | None = None) -> Self:
        """Estimate the noise once, over a whole scan, and make the window fit it.

        Parameters
        ----------
        scan
            What `Scan.open` takes; it is read once.
        geometry
            How it was taken.
        card
            None takes `deflectometry_card`, with a window no larger than the scan's shorter side.

        Raises
        ------
        ScanError
            The scan cannot be read, is too small, or shows no fringes anywhere.
        OptionError
            `geometry` is no `FringeGeometry`.
        """
        from surfacedefect.scan import Scan

        checked_geometry(geometry)
        with Scan.open(scan) as opened:
            if card is None:
                card = deflectometry_card(geometry)
                side = min(card.window_px, opened.width, opened.height)
                card = deflectometry_card(geometry, window_px=side, overlap_px=3 * side // 8)
            noise = _noise_of(cls(geometry, card=card)._samples(opened))
        return cls(geometry, noise=noise, card=card)

    @property
    def card(self) -> ModelCard:
        """Kind, window, overlap and threshold."""
        return self._card

    def __call__(self, windows: Windows) -> Probabilities:
        """Map uint8 (N, S, S, 3) windows to float32 (N, 1, S, S).

        Raises
        ------
        PredictorError
            A window shows no fringes and no scan was `fitted`, so that nothing can be said of it; with
            ``on_error="skip"`` it is not inspected. Of a fitted scan, which has fringes elsewhere, it is 0 there, as on
            every place without fringes: such places are not inspected either, but the map cannot tell. Or what was
            given is no array of windows.
        """
        if not isinstance(windows, np.ndarray) or windows.ndim != 4:
            shape = f" {windows.shape}" if isinstance(windows, np.ndarray) else ""
            raise PredictorError(f"found {type_name(windows)}{shape}, expected an array of windows, uint8 (N, S, S, 3)")
        found = np.empty((len(windows), 1, *windows.shape[1:3]), np.float32)
        for window, out in zip(windows, found, strict=True):
            try:
                z = self.z_score(window)
            except ScanError as error:
                if self.noise is None:
                    raise PredictorError(str(error)) from error
                z = np.zeros(window.shape[:2], np.float32)
            np.divide(z, MIDDLE_Z, out=z)
            np.power(z, STEEPNESS, out=z)
            out[0] = z / (1 + z)
        return found

    def z_score(self, image: NDArray[np.uint8]) -> Floats:
        """Say how unlike an undamaged panel each place is.

        Parameters
        ----------
        image
            uint8 (H, W) or (H, W, 3).

        Returns
        -------
        numpy.ndarray
            float32 (H, W), 0 or more: robust standard deviations of the broken share or of the curvature, whichever is
            more. 0 where there are no fringes and on feature lines.

        Raises
        ------
        ScanError
            No picture, too small a one, or no fringes in it.
        """
        from scipy.ndimage import grey_opening, zoom

        image = checked_image(image)
        signs = self._signs(image)
        noise = _noise_of([signs]) if self.noise is None else self.noise
        z = signs.z_score(noise, self.geometry)
        narrow = max(1, round(signs.grid.dents(_OPENING)))
        z = grey_opening(z, size=(narrow, narrow))
        if signs.grid.step > 1:
            z = zoom(z, signs.grid.step, order=1, mode="nearest", grid_mode=True)
        return np.asarray(z[: image.shape[0], : image.shape[1]], np.float32)

    def _signs(self, image: NDArray[np.uint8]) -> _Signs:
        grid = self.geometry.grid
        return _Signs.of(fringes_of(image, grid), self.geometry, grid)

    def _samples(self, scan: Scan) -> Iterator[_Signs]:
        """Look at windows side by side, those without fringes left out."""
        side, seen, refused = self._card.window_px, 0, None
        rows, columns = (lay_axis(n, window_px=min(side, n), overlap_px=0).starts for n in (scan.height, scan.width))
        for top in rows:
            band = scan.rows(top, min(top + side, scan.height))
            for left in columns:
                try:
                    signs = self._signs(band[:, left : left + side])
                except ScanError as error:
                    refused = error
                    continue
                seen += 1
                yield signs
        if not seen and refused is not None:
            raise ScanError(f"{scan.name}: {refused}")

    def __repr__(self) -> str:
        """Name the card and say whether the noise is that of a scan."""
        return f"Deflectometry({self._card.name!r}, noise={'of each window' if self.noise is None else 'of a scan'})"


@dataclass(frozen=True)
class _Signs:
    """Both signs of a dent in one picture, on the coarse grid.

    ``curvature``, float32 (bands, h, w) in 1/mm, is that of each band of widths less that around it, 0 at the border
    of the picture, where half of the fringe is missing.
    """

    fringes: Fringes
    curvature: Floats
    grid: Grid

    @classmethod
    def of(cls, fringes: Fringes, geometry: FringeGeometry, grid: Grid) -> Self:
        sigmas = [grid.dents(width) for width in _WIDTHS]
        waves = [turning(wave, *sigmas) for wave in fringes.waves]
        bent = np.asarray(
            [geometry.curvature_per_mm(np.sum(rates, axis=0), grid) for rates in zip(*waves, strict=True)]
        )
        bands = bent[:-1] - bent[1:]
        rim = round(0.6 * fringes.longest_px)
        inside = np.zeros(bands.shape[1:], bool)
        inside[rim:-rim, rim:-rim] = True
        return cls(fringes, bands * inside, grid)

    def z_score(self, noise: FringeNoise, geometry: FringeGeometry) -> Floats:
        """Compare with the noise; float32 (h, w) on the coarse grid, at least 0."""
        z = (self.fringes.broken - noise.broken) / max(noise.broken_spread, _LEAST_SPREAD)
        for band, spread in zip(self.curvature, noise.curvature_spread, strict=True):
            z = np.maximum(z, np.abs(band) * (_CURVATURE_WEIGHT / max(spread, _LEAST_BEND / geometry.screen_mm)))
        outside = without_fringes(self.fringes, noise.energy, self.grid)
        likely = (z > 0.5 * MIDDLE_Z) & ~outside
        lines = lines_across(likely, outside, self.grid, least_mm=_LINE * geometry.dent_mm[1])
        return np.where(outside | lines, 0, z.clip(0)).astype(np.float32)


def _noise_of(samples: Iterable[_Signs]) -> FringeNoise:
    """Pool the medians of some pictures, each without its places without fringes."""
    energies, broken, curvature = [], [], []
    for signs in samples:
        energy = usual(signs.fringes.energy)
        inside = ~without_fringes(signs.fringes, energy, signs.grid)
        energies.append(energy)
        broken.append(signs.fringes.broken[inside][::7])
        curvature.append(np.abs(signs.curvature[:, inside][:, ::7]))
    share, bends = np.concatenate(broken), np.concatenate(curvature, axis=1)
    if not share.size:
        raise ScanError(
            "found fringes only here and there; expected a part of the panel with fringes all over that is larger than "
            "two dents. Check that the panel mirrors the screen, and that the room is dark"
        )
    middle = float(np.median(share))
    return FringeNoise(
        energy=float(np.median(energies)),
        broken=middle,
        broken_spread=1.4826 * float(np.median(np.abs(share - middle))),
        curvature_spread=tuple(1.4826 * float(np.median(band)) for band in bends),
    )
