"""One readable training loop: samples -> loss -> step -> moving average -> checkpoint, resumable at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surfacedefect._machine import usable_cores
from surfacedefect.errors import TrainingError, require
from surfacedefect.networks import network_inputs
from surfacedefect.training.augment import disturb
from surfacedefect.training.checkpoint import Checkpoint, fingerprint
from surfacedefect.training.config import TileConfig, TrainingConfig
from surfacedefect.training.losses import loss_of
from surfacedefect.training.model import build_network
from surfacedefect.training.pictures import IGNORED_BIT, TrainingPicture
from surfacedefect.training.samples import Samples

if TYPE_CHECKING:
    import torch
    from torch import nn


VALIDATION_PX = 1024
"""Largest side of what is validated at once."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run leaves.

    Attributes
    ----------
    network
        The network with the averaged weights, on the CPU, in evaluation mode.
    config
        Its recipe.
    history
        One record each time it was validated: step, loss, seconds, average precision a kind (``nan``: no damage of it).
    """

    network: nn.Module
    config: TrainingConfig
    history: list[dict[str, Any]]


Progress = Callable[[int, int, str], None]
"""Called with the step done, the steps in all and a line of figures."""


@dataclass(frozen=True, slots=True)
class Task:
    """In what the models that the loop trains differ.

    Attributes
    ----------
    samples, build, begin, loss, validate
        As `Samples`, `build_network`, `begin_with`, `loss_of` and `validate`, which are the U-Net's.
    """

    samples: Callable[..., Samples]
    build: Callable[..., nn.Module]
    begin: Callable[[nn.Module, Path, TrainingConfig], None]
    loss: Callable[..., torch.Tensor]
    validate: Callable[[nn.Module, Sequence[TrainingPicture], TrainingConfig], dict[str, float]]


def task_of(config: TrainingConfig) -> Task:
    """Return what a recipe trains: the tile classifier for a `TileConfig`, else the U-Net."""
    if isinstance(config, TileConfig):
        from surfacedefect.training.tile_model import begin_tiles_with, build_tile_network, tile_loss, validate_tiles
        from surfacedefect.training.tile_samples import TileSamples

        return Task(TileSamples, build_tile_network, begin_tiles_with, tile_loss, validate_tiles)
    return Task(Samples, build_network, begin_with, loss_of, validate)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Take numbers next to 0 for 0 meanwhile: several times faster where weights fade away.

    Only meanwhile, as other libraries of the process count on them: SciPy's k-d tree crashes without.
    """
    torch = require("torch", extra="train")
    before = bool(np.float64(1e-310) * np.float64(1) == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@denormals_flushed()
def train(
    pictures: Sequence[TrainingPicture],
    run_dir: Path,
    *,
    config: TrainingConfig,
    validation: Sequence[TrainingPicture] = (),
    negatives: Sequence[tuple[int, float, float]] = (),
    start: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train what the recipe is for; a second call with the same folder goes on where the first one stopped.

    Parameters
    ----------
    pictures, validation
        Annotated pictures to learn from, and to measure on while it learns.
    run_dir
        Folder of the checkpoint ``last.pt`` and ``history.json``.
    config
        The recipe. A checkpoint of another recipe is refused.
    negatives
        Where an earlier model was wrong on these pictures, see `training.negatives.find_false_alarms`; used as the
        recipe's `hard_negative_share` says. To go on, give the same ones.
    start
        Checkpoint of an earlier run, of the same network and kinds: its averaged weights are where this one begins. A
        tile classifier may also begin with the encoder of a U-Net.
    workers
        Processes that prepare samples; 0 prepares them in this one. None: one, or for a GPU as many as there are cores.
    progress
        Told after every step.

    Raises
    ------
    TrainingError
        No pictures, a checkpoint of another recipe or network, or a loss that is not finite.
    """
    torch = require("torch", extra="train")
    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = fast_precision(device)
    if workers is None:
        workers = usable_cores() if device == "cuda" else 1

    task = task_of(config)
    network = task.build(config, start=None if start is None else False)
    if start is not None:
        task.begin(network, start, config)
    network = network.to(device).to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
    )
    named = list(network.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.startswith("encoder.")], "peak": config.encoder_learning_rate},
        {"params": [p for name, p in named if not name.startswith("encoder.")], "peak": config.learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    checkpoint = Checkpoint(
        run_dir / "last.pt", network=network, average=average, optimizer=optimizer, config=config,
        data=fingerprint(pictures, start=start),
    )  # fmt: skip
    first, history = checkpoint.load(device)
    recent, before = (float(history[-1][name]) if history else 0.0 for name in ("loss", "seconds"))

    on_device = config.augment == "device" or (config.augment == "auto" and device == "cuda")
    samples = task.samples(pictures, config, negatives=negatives, on_device=on_device)
    started = time.perf_counter() - before
    for step, (images, targets, weights) in enumerate(_batches(samples, first=first, workers=workers), first):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate_factor(step, config)
        images = images.to(device, non_blocking=True)
        if on_device:
            images = disturb(images, generator=torch.Generator(device).manual_seed(_seed_of(config.seed, step)))
        inputs = network_inputs(images)
        network.train()
        with torch.autocast(device, dtype=precision, enabled=precision != torch.float32):
            logits = network(inputs.to(memory_format=torch.channels_last))
        loss = task.loss(logits.float(), targets.to(device).float(), weight=weights.to(device), config=config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(network)

        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss became {value} at step {step}; lower learning_rate and start afresh")
        recent = value if recent == 0 else 0.98 * recent + 0.02 * value
        done = step + 1
        if done % config.validate_every == 0 or done == config.steps:
            scores = task.validate(average.module, validation, config)
            history.append({"step": done, "loss": recent, "seconds": time.perf_counter() - started, **scores})
        if done % config.checkpoint_every == 0 or done == config.steps:
            checkpoint.save(done, history)
        if progress is not None:
            progress(done, config.steps, _figures(recent, history))
    return TrainingResult(average.module.cpu().eval(), config, history)


def _seed_of(*parts: int) -> int:
    """Mix numbers into one seed, so that neighbouring steps and seeds have nothing in common."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def begin_with(network: nn.Module, checkpoint: Path, config: TrainingConfig) -> None:
    """Put the averaged weights of a checkpoint into a network of the same shape; the recipe has no say."""
    load_average(network, checkpoint)


def load_average(network: nn.Module, checkpoint: Path) -> None:
    """Put the averaged weights of a checkpoint into a network of the same shape."""
    weights = read_average(checkpoint)
    with _told_of_other_weights(checkpoint):
        network.load_state_dict(weights)


def read_average(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the averaged weights of a checkpoint under the names that its network gives them."""
    torch = require("torch", extra="train")
    if not checkpoint.is_file():
        raise TrainingError(f"'{checkpoint}' is no file; expected the last.pt of an earlier run")
    with _told_of_other_weights(checkpoint):
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["average"]
        return {name.removeprefix("module."): tensor for name, tensor in saved.items() if name != "n_averaged"}


@contextmanager
def _told_of_other_weights(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise TrainingError(
            f"'{checkpoint}' does not hold weights of this network ({type(error).__name__}); expected the last.pt of a "
            "run with the same encoder, decoder and number of kinds"
        ) from error


def fast_precision(device: str) -> torch.dtype:
    """Return bfloat16 where the hardware computes it, else float32; without it, it is ten times slower."""
    torch = require("torch", extra="train")
    if device == "cuda":
        computed = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if computed else torch.float32  # type: ignore[no-any-return]
    if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return torch.bfloat16  # type: ignore[no-any-return]
    return torch.float32  # type: ignore[no-any-return]


def rate_factor(step: int, config: TrainingConfig) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then a cosine down to 2 %.

    >>> rate_factor(0, TrainingConfig(warmup_steps=10)), round(rate_factor(9, TrainingConfig(warmup_steps=10)), 3)
    (0.1, 1.0)
    """
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * max(step - config.warmup_steps, 0) / config.steps)))


def validate(network: nn.Module, pictures: Sequence[TrainingPicture], config: TrainingConfig) -> dict[str, float]:
    """Return the pixel average precision of each kind, doubt left out; ``nan`` without damage of that kind.

    Of all pictures together as ``ap_scratch``, and of each origin's as ``ap_scratch/panels``: what is learned for one
    sort of pictures may be lost for another.
    """
    origins = sorted({picture.origin for picture in pictures})
    parts = {
        f"/{origin}": count_levels(network, [item for item in pictures if item.origin == origin], config=config)
        for origin in origins
    }
    parts = {"": sum(parts.values(), np.zeros((len(config.kinds), 2, 256), np.int64)), **parts}
    return {
        f"ap_{kind}{part}": _average_precision(*counts[bit])
        for part, counts in parts.items()
        for bit, kind in enumerate(config.kinds)
    }


def count_levels(
    network: nn.Module, pictures: Sequence[TrainingPicture], *, config: TrainingConfig
) -> NDArray[np.int64]:
    """Return how often each probability 0..255 was given, int64 (K, 2, 256): to clean, then to damaged pixels."""
    torch = require("torch", extra="train")
    counts = np.zeros((len(config.kinds), 2, 256), np.int64)
    network.eval()
    device = next(network.parameters()).device
    with torch.inference_mode():
        for image, labels in _parts(pictures):
            pixels = torch.from_numpy(image[None].copy()).to(device)
            inputs = network_inputs(pixels).to(memory_format=torch.channels_last)
            found = (torch.sigmoid(network(inputs).float())[0] * 255).round().to(torch.uint8).cpu().numpy()
            counted = (labels & IGNORED_BIT) == 0
            for bit in range(len(config.kinds)):
                truth = ((labels[counted] >> bit) & 1).astype(np.int64)
                codes = found[bit][counted].astype(np.int64) + 256 * truth
                counts[bit] += np.bincount(codes, minlength=512).reshape(2, 256)
    return counts


def _parts(pictures: Sequence[TrainingPicture]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Cut pictures into parts that fit into memory; what is left over below a multiple of 32 px is dropped."""
    for picture in pictures:
        height, width = picture.labels.shape
        for top in range(0, height, VALIDATION_PX):
            for left in range(0, width, VALIDATION_PX):
                bottom = top + min(VALIDATION_PX, height - top) // 32 * 32
                right = left + min(VALIDATION_PX, width - left) // 32 * 32
                if bottom > top and right > left:
                    yield picture.image[top:bottom, left:right], picture.labels[top:bottom, left:right]


def _average_precision(clean: np.ndarray[Any, Any], damaged: np.ndarray[Any, Any]) -> float:
    """From histograms over the probability, as evaluation does; kept here so that the loop needs no other package."""
    if damaged.sum() == 0:
        return math.nan
    right, wrong = np.cumsum(damaged[::-1]), np.cumsum(clean[::-1])
    precision = right / np.maximum(right + wrong, 1)
    return float(np.sum(np.diff(right, prepend=0) * precision) / damaged.sum())


def _batches(
    samples: Samples, *, first: int, workers: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    data = require("torch.utils.data", extra="train")
    return iter(
        data.DataLoader(
            samples,
            batch_size=samples.config.batch,
            sampler=range(first * samples.config.batch, len(samples)),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_begin_worker if workers else None,
        )
    )


def _begin_worker(number: int) -> None:
    from surfacedefect._workers import reuse_freed_memory

    reuse_freed_memory()


def _figures(loss: float, history: Sequence[dict[str, Any]]) -> str:
    known = history[-1] if history else {}
    last = {key: value for key, value in known.items() if key.startswith("ap_") and "/" not in key}
    return " ".join([f"loss {loss:.4f}", *(f"{key} {value:.3f}" for key, value in last.items())])
