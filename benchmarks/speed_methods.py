"""The same windows of the same scan to the same weights, put together in four ways; and scans to do it on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from surfacedefect import DetectOptions, Detector, Predictor
from surfacedefect.runtimes import load_predictor
from surfacedefect.synthetic import FIRST_BENCHMARK_SEED, SyntheticConfig, render_scan
from surfacedefect.windows import lay_grid

OVERLAP = 128
PATTERN_WIDTH, PATTERN_HEIGHT = 2048, 1024

Timed = tuple[float, int]
"""Seconds, and how many windows were looked at."""


class Counted:
    """A predictor that counts its windows."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.card, self.windows = predictor, predictor.card, 0

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Look at windows (N, S, S, 3)."""
        self.windows += len(windows)
        return self.predictor(windows)


def predictor_of(engine: str, *, threads: int | None = None) -> Predictor:
    return load_predictor("default", runtime=engine, threads=threads)


def engine(scan: Path, predictor: Predictor, overlap_px: int, batch: int) -> Timed:
    """Feed one and the same window as often as the scan has windows."""
    side = predictor.card.window_px
    with rasterio.open(scan) as file:
        count = len(lay_grid(file.height, file.width, window_px=side, overlap_px=overlap_px))
        window = file.read(window=((0, side), (0, side))).transpose(1, 2, 0)[None].copy()
    started = time.perf_counter()
    for first in range(0, count, batch):
        predictor(np.repeat(window, min(batch, count - first), axis=0))
    return time.perf_counter() - started, count


def ours(scan: Path, predictor: Predictor, overlap_px: int, batch: int) -> Timed:
    counted = Counted(predictor)
    detector = Detector(counted, options=DetectOptions(overlap=overlap_px, batch=batch))
    started = time.perf_counter()
    found = detector.probability_map(scan)
    seconds = time.perf_counter() - started
    if found.coverage != 1:
        raise RuntimeError(f"{found.coverage:.1%} of '{scan}' was inspected")
    return seconds, counted.windows


def monai(scan: Path, predictor: Predictor, overlap_px: int, batch: int) -> Timed:
    import torch
    from monai.inferers import sliding_window_inference

    counted, side = Counted(predictor), predictor.card.window_px

    def look(windows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(counted(windows.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()))

    started = time.perf_counter()
    with rasterio.open(scan) as file:
        picture = torch.from_numpy(file.read())[None]
    sliding_window_inference(picture.float(), side, batch, look, overlap=overlap_px / side, mode="gaussian")
    return time.perf_counter() - started, counted.windows


def tiler(scan: Path, predictor: Predictor, overlap_px: int, batch: int) -> Timed:
    from tiler import Merger, Tiler

    counted, side, kinds = Counted(predictor), predictor.card.window_px, len(predictor.card.kinds)
    started = time.perf_counter()
    with rasterio.open(scan) as file:
        picture = file.read().transpose(1, 2, 0)
    overlap = (overlap_px, overlap_px)
    tiles = Tiler(picture.shape, (side, side, 3), overlap=(*overlap, 0), channel_dimension=2, mode="reflect")
    out = Tiler((kinds, *picture.shape[:2]), (kinds, side, side), overlap=(0, *overlap), channel_dimension=0)
    merger = Merger(out, window="hann")
    for number, windows in tiles(picture, batch_size=batch):
        merger.add_batch(number, batch, counted(windows.astype(np.uint8)))
    merger.merge(dtype=np.float32)
    return time.perf_counter() - started, counted.windows


PACKAGES = {"monai": ("torch", "monai.inferers"), "tiler": ("tiler",)}
"""What a peer needs: imported before memory is looked at."""

METHODS: dict[str, Callable[[Path, Predictor, int, int], Timed]] = {
    "engine": engine,
    "surfacedefect": ours,
    "monai": monai,
    "tiler": tiler,
}


def write_scan(path: Path, width: int, height: int) -> Path:
    """Write a scan of that size, a rendered panel repeated: a tiled TIFF row by row, or what Pillow writes."""
    config = SyntheticConfig(width=PATTERN_WIDTH, height=PATTERN_HEIGHT)
    panel = render_scan(FIRST_BENCHMARK_SEED + 200, config).image
    panel = np.tile(panel, (1, -(-width // PATTERN_WIDTH), 1))[:, :width]
    if path.suffix != ".tif":
        from PIL import Image

        Image.fromarray(np.tile(panel, (-(-height // PATTERN_HEIGHT), 1, 1))[:height]).save(path)
        return path
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(
        path, "w", width=width, height=height, compress="jpeg", photometric="ycbcr", bigtiff="if_safer", **profile
    ) as file:
        for top in range(0, height, PATTERN_HEIGHT):
            rows = min(PATTERN_HEIGHT, height - top)
            file.write(panel[:rows].transpose(2, 0, 1), window=Window(0, top, width, rows))
    return path
