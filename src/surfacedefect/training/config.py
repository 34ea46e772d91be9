"""The recipe of a training run, in one frozen value that travels in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args

from surfacedefect._checks import check_number, check_whole, checked_kinds, checked_pair, expect
from surfacedefect.baselines.tile_classifier import TILE_PX
from surfacedefect.errors import OptionError, TrainingError

LossName = Literal["bce-dice", "focal-tversky", "centre-line-dice"]

AugmentOn = Literal["auto", "workers", "device"]

MOST_KINDS = 6
"""The labels of a pixel are the bits of a byte, two of which mean something else."""


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Everything that a training run depends on, besides the pictures.

    Attributes
    ----------
    kinds
        Damage kinds in the order of the output bands.
    steps, batch, crop_px
        Optimizer steps, crops a step and the side of a crop in px (a multiple of 32).
    learning_rate, encoder_learning_rate
        Peak rates of AdamW for decoder and encoder; linear warm-up, then a cosine down to 2 %.
    weight_decay, warmup_steps
        Weight decay of AdamW, and how many steps the warm-up takes.
    ema_decay
        Decay a step of the moving average of the weights, which is what is exported.
    loss
        What a step minimises; see `surfacedefect.training.losses`.
    dice
        Weight of the Dice term beside the binary cross-entropy; ``"focal-tversky"`` has neither.
    scale_range
        Smallest and largest zoom of a crop, drawn log-uniformly. A wider one, such as (0.35, 3.0), trains for scans of
        more scales with the same number of weights.
    origin_shares
        Share of the photo crops taken from pictures of each origin; origins that are not named share the rest.
    loose_origins
        Origins whose polygons are hulls: their inside counts less and their border band counts for nothing.
    loose_weight
        How much the inside of such a hull counts, in [0, 1].
    painted_share, synthetic_share
        Share of the photo crops with painted damage; share of all crops that are rendered.
    centred_share
        Share of the photo crops that are centred on damage.
    hard_negative_share
        Share of the photo crops taken around false alarms of an earlier model; see `training.negatives`.
    clean_share
        Share of the rendered crops that show an undamaged panel with look-alikes.
    jumble_share
        Share of the rendered crops whose paint mirrors a place of random shapes; see `synthetic.places.jumble`.
    lookalike_share
        Share of all crops that get harmless edges, glints or sharp grain.
    mirrored_share
        Share of all crops whose surface mirrors a piece of another picture, as glossy paint does.
    encoder, decoder_channels, imagenet_start
        Encoder as segmentation-models-pytorch names it, channels of the decoder from coarse to fine, and whether the
        encoder begins with ImageNet weights.
    validate_every, checkpoint_every
        Steps between two looks at the validation pictures, and between two checkpoints.
    augment
        Where crops are disturbed as cameras do: in the ``"workers"``, on the ``"device"``, or ``"auto"``: on the device
        where that is a GPU.
    seed
        Every sample is a function of this seed and its number; a disturbance on the device, of it and the step.
    """

    kinds: tuple[str, ...] = ("scratch", "dent")
    steps: int = 1900
    batch: int = 6
    crop_px: int = 256
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 4e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 60
    ema_decay: float = 0.995
    loss: LossName = "bce-dice"
    dice: float = 0.5
    scale_range: tuple[float, float] = (0.4, 2.5)
    origin_shares: dict[str, float] = field(default_factory=lambda: {"panels": 0.65, "claims": 0.15, "street": 0.2})
    loose_origins: tuple[str, ...] = ("claims", "street", "cars")
    loose_weight: float = 0.4
    painted_share: float = 0.35
    synthetic_share: float = 0.2
    centred_share: float = 0.5
    hard_negative_share: float = 0.0
    clean_share: float = 0.0
    jumble_share: float = 0.0
    lookalike_share: float = 0.0
    mirrored_share: float = 0.0
    encoder: str = "tu-efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (128, 64, 48, 32, 16)
    imagenet_start: bool = True
    validate_every: int = 300
    checkpoint_every: int = 100
    augment: AugmentOn = "auto"
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse a recipe that cannot be run."""
        try:
            self._check_numbers()
        except OptionError as error:
            raise TrainingError(f"the recipe's {error}") from error
        self._check_crop()
        if (
            len(self.kinds) > MOST_KINDS
            or len(set(self.kinds)) < len(self.kinds)
            or {"damage", "ignore"} & {*self.kinds}
        ):
            raise TrainingError(
                f"kinds={self.kinds}; expected one to {MOST_KINDS} different ones, none of them 'ignore' or 'damage', "
                "which means all kinds together"
            )
        for name, choices in (("loss", get_args(LossName)), ("augment", get_args(AugmentOn))):
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name}={getattr(self, name)!r}; expected one of {', '.join(map(repr, choices))}")
        if self.loss == "centre-line-dice" and "scratch" not in self.kinds:
            raise TrainingError(f"loss='centre-line-dice' with kinds={self.kinds}; expected 'scratch' among the kinds")

    def _check_numbers(self) -> None:
        if not isinstance(self.kinds, tuple):
            raise OptionError(f"kinds is {self.kinds!r}; expected a tuple of names, such as ('scratch', 'dent')")
        checked_kinds(self.kinds)
        expect(all(self.kinds), "kinds", self.kinds, "names that are not empty")
        expect(isinstance(self.loose_origins, tuple), "loose_origins", self.loose_origins, "a tuple of names")
        for name in ("steps", "batch", "crop_px", "validate_every", "checkpoint_every"):
            check_whole(name, getattr(self, name), 1, 10**9)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        check_whole("warmup_steps", self.warmup_steps, 0, 10**9)
        for name in ("learning_rate", "encoder_learning_rate", "weight_decay"):
            check_number(name, getattr(self, name), 0, 10)
        for name in (
            "ema_decay",
            "loose_weight",
            *(item.name for item in fields(self) if item.name.endswith("_share")),
        ):
            check_number(name, getattr(self, name), 0, 1)
        check_number("dice", self.dice, 0, 1000)
        expect(isinstance(self.origin_shares, dict), "origin_shares", self.origin_shares, "a dict of shares by origin")
        for origin, share in self.origin_shares.items():
            check_number(f"share of origin {origin!r}", share, 0, 1)
        least, most = checked_pair("scale_range", self.scale_range, "smallest, largest")
        for zoom in (least, most):
            check_number("scale_range", zoom, 0.01, 100)
        expect(least <= most, "scale_range", self.scale_range, "(smallest, largest) with smallest <= largest")

    def _check_crop(self) -> None:
        if self.crop_px < 32 or self.crop_px % 32:
            raise TrainingError(f"crop_px={self.crop_px}; expected a multiple of 32, such as 256")

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Self:
        """Make a recipe from a checkpoint's or a card's record; lists become tuples."""
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise TrainingError(f"unknown recipe entries {unknown}; expected some of {sorted(known)}")
        entries: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
        }
        return cls(**entries)


@dataclass(frozen=True, slots=True)
class TileConfig(TrainingConfig):
    """The recipe of the tile classifier: that of the U-Net, for tiles of 300 px and more of them a step.

    ``loss``, ``dice`` and ``decoder_channels`` have no say, nor has ``clean_share``: half of the tiles are clean.
    ``learning_rate`` is that of the last layer.

    Examples
    --------
    >>> TileConfig().crop_px, TileConfig().origin_shares == TrainingConfig().origin_shares
    (300, True)
    """

    steps: int = 1400
    batch: int = 16
    crop_px: int = TILE_PX

    def _check_crop(self) -> None:
        if self.crop_px != TILE_PX:
            raise TrainingError(f"crop_px={self.crop_px}; a tile classifier learns from tiles of {TILE_PX} px")
