"""Named configs: what a scanner company meets, and the frozen benchmark."""

from __future__ import annotations

from surfacedefect.errors import OptionError
from surfacedefect.synthetic.config import CLEAN, SyntheticConfig
from surfacedefect.synthetic.fringe import Fringe

_PRESETS: dict[str, SyntheticConfig] = {
    # rental returns: every kind of damage, any light, a hand-held or fixed camera
    "rental": SyntheticConfig(tilt_degrees=(0.0, 30.0)),
    # a tunnel with a fringe screen and the lamps off
    "deflectometry": SyntheticConfig(
        scratches=(3, 6), chips=(1, 4), scuffs=(0, 1), dents=(3, 7), lookalikes=0.3, tilt_degrees=(0.0, 10.0),
        fringe=Fringe(), camera="scanner", jpeg_quality=None,
    ),
    # bonnets and roofs after a storm
    "hail": SyntheticConfig(
        scratches=(0, 2), chips=(0, 3), scuffs=(0, 0), dents=(0, 0), hail=(8, 40), mm_per_px=0.2, lookalikes=0.4
    ),
    "clean": CLEAN,
    # Frozen: any change needs a new version name. Both versions of a seed show the same damage on the same panel.
    "bench-v1": SyntheticConfig(
        scratches=(6, 12), chips=(2, 6), scuffs=(1, 2), dents=(2, 5), scratch_length_mm=(10.0, 250.0),
        scratch_width_mm=(0.05, 1.2), hairlines=0.35, groups=0.2, lookalikes=0.5, materials="benchmark",
        tilt_degrees=(0.0, 15.0), camera="scanner", jpeg_quality=None,
    ),
    "bench-v1-fringe": SyntheticConfig(
        scratches=(6, 12), chips=(2, 6), scuffs=(1, 2), dents=(2, 5), scratch_length_mm=(10.0, 250.0),
        scratch_width_mm=(0.05, 1.2), hairlines=0.35, groups=0.2, lookalikes=0.5, materials="benchmark",
        tilt_degrees=(0.0, 15.0), camera="scanner", jpeg_quality=None, fringe=Fringe(),
    ),
}  # fmt: skip

PRESETS: tuple[str, ...] = tuple(_PRESETS)
"""Names that `preset` knows."""


def preset(name: str) -> SyntheticConfig:
    """Give the config of this name.

    Parameters
    ----------
    name
        ``"rental"``, ``"deflectometry"``, ``"hail"``, ``"clean"``, or the frozen benchmark's ``"bench-v1"`` and
        ``"bench-v1-fringe"``, to be rendered with seeds from `FIRST_BENCHMARK_SEED` on.

    Raises
    ------
    OptionError
        There is no preset of this name.

    Examples
    --------
    >>> preset("hail").hail
    (8, 40)
    """
    if name not in _PRESETS:
        raise OptionError(f"preset is {name!r}; expected one of {', '.join(PRESETS)}")
    return _PRESETS[name]
