"""What the panel is like at every pixel, before any light falls on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surfacedefect.synthetic.geometry import Float


@dataclass(frozen=True)
class Surface:
    """State of a band of rows; its arrays are changed in place, by one function after the other.

    Attributes
    ----------
    slope_x, slope_y
        float32 (h, w): dz/dx and dz/dy, dimensionless.
    albedo
        float32 (h, w, 3): linear share of light that is scattered.
    gloss
        float32 (h, w): factor on the mirror image. 1 is clear coat, 0 is none; chrome is about 15, because what the
        shading multiplies it with is the reflectance of clear coat, about 0.045.
    light
        float32 (h, w): factor on all light, 1 where nothing stands in its way.
    hidden
        float32 (h, w) in [0, 1]: share of the pixel that is not painted panel. No damage is drawn there.
    """

    slope_x: Float
    slope_y: Float
    albedo: Float
    gloss: Float
    light: Float
    hidden: Float

    @classmethod
    def plain(cls, slope_x: Float, slope_y: Float, *, rgb: tuple[float, float, float]) -> Surface:
        """Give a clear-coated surface of one colour with these slopes, which it takes over."""
        shape = slope_x.shape
        albedo = np.empty((*shape, 3), np.float32)
        albedo[:] = np.asarray(rgb, np.float32)
        gloss, light = np.ones(shape, np.float32), np.ones(shape, np.float32)
        return cls(slope_x, slope_y, albedo, gloss, light, np.zeros(shape, np.float32))
