"""What is wrong with a sound picture as a scan: blank, too bright, too dark, blurred."""

from __future__ import annotations

from surfacedefect.datasets._alignment import LEAST_TEXTURE, texture
from surfacedefect.datasets._miniature import Miniature

FLAGS = {
    "blank": "nothing to see: no edge and no texture",
    "overexposed": "three tenths of the pixels or more are white (gray level 250 to 255)",
    "underexposed": "even the brightest thousandth of the pixels is darker than gray level 60",
    "blurred": "even its sharper edges are as soft as a Gaussian of more than 3 px makes them",
}
"""What the column ``flags`` may say. A flagged picture stays in the view; what to do with it is yours."""

_WHITE, _LEAST_WHITE = 250, 0.3
_DARK, _BRIGHTEST = 60, 0.001
_MOST_EDGE_SIGMA_PX = 3.0


def flags_of(picture: Miniature) -> list[str]:
    """Name what is wrong with a picture, in the order of `FLAGS`.

    Examples
    --------
    >>> import numpy as np
    >>> black = Miniature(np.zeros((256, 256), np.uint8), np.bincount([0] * 9, minlength=256), float("nan"))
    >>> flags_of(black)
    ['blank', 'underexposed']
    """
    shares = picture.histogram / max(1, picture.histogram.sum())
    found = {
        "blank": texture(picture.image) < LEAST_TEXTURE,
        "overexposed": shares[_WHITE:].sum() >= _LEAST_WHITE,
        "underexposed": shares[_DARK:].sum() < _BRIGHTEST,
        "blurred": picture.edge_sigma_px > _MOST_EDGE_SIGMA_PX,
    }
    return [flag for flag in FLAGS if found[flag]]
