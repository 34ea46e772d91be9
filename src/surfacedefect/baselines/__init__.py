"""What the U-Net is measured against, as `Predictor`s, so that the same code maps, scores and draws them.

>>> import numpy as np
>>> import surfacedefect as sd
>>> bright = sd.baselines.TileClassifier(lambda tiles: tiles.max(axis=(1, 2, 3)) / 255)
>>> sd.Detector(bright).probability_map(np.full((310, 400, 3), 51, np.uint8)).array("damage")[0, 0].item()
0.2...
"""

from __future__ import annotations

from surfacedefect.baselines.deflectometry import (
    Deflectometry,
    FringeGeometry,
    FringeNoise,
    SlopeField,
    deflectometry_card,
    slope_field,
)
from surfacedefect.baselines.tile_classifier import TILE_PX, TileClassifier, tile_card

__all__ = [
    "TILE_PX",
    "Deflectometry",
    "FringeGeometry",
    "FringeNoise",
    "SlopeField",
    "TileClassifier",
    "deflectometry_card",
    "slope_field",
    "tile_card",
]
