"""The folder in which the examples of a page run: small scans, annotations, a share, a data set, so named."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import batch_fakes
import numpy as np
import pytest
from messy_share import jpeg, near_copy
from pictures import drawn, png
from PIL import Image
from shapely.geometry import box

from surfacedefect import FunctionPredictor, serving
from surfacedefect.annotations import AnnotatedImage, Dataset, Region, write_annotations
from surfacedefect.runtimes import load_predictor

WIDTH, HEIGHT = 200, 150
SHORT_TRAINING = ["--steps", "2", "--batch", "2", "--workers", "0"]
KINDS = ("scratch", "dent")


class World:
    """One page's folder, and what stands in for the world around it while its examples run."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._lasting = ExitStack()
        self.folder = Path(self._lasting.enter_context(tempfile.TemporaryDirectory()))
        write_scans(self.folder)
        if page in _MADE:
            _MADE[page](self.folder)

    @property
    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Where the server of the pages is."""
        if self._page not in ("README.md", "docs/serve.md"):
            return ()
        server = self._server
        return (
            (r"localhost:8081", f"127.0.0.1:{server.grpc_port}"),
            (r"localhost:8080", f"127.0.0.1:{server.http_port}"),
        )

    @cached_property
    def _server(self) -> Any:
        pytest.importorskip("kserve", reason="needs the extra [serve]")
        from surfacedefect.serving import ServeOptions, background

        return self._lasting.enter_context(background(predictor(), options=ServeOptions(http_port=0, grpc_port=0)))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Stand in the folder, with a default model that calls dark pixels damaged."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr("surfacedefect.detector.load_predictor", load)
            patch.setitem(vars(serving), "serve", lambda *_, **__: None)  # it would not end
            yield

    def names(self) -> dict[str, Any]:
        """Return the names that a page uses and leaves to its reader."""
        return _NAMES.get(self._page, dict)()

    def close(self) -> None:
        """End the server, remove the folder."""
        self._lasting.close()


def load(model: str | Path, **options: Any) -> Any:
    """Load what an example trained; for any other name take the model whose answer is known."""
    return load_predictor(model, **options) if Path(model).is_file() else predictor()


def predictor() -> FunctionPredictor:
    """Return the model whose answer is known: black is a scratch, dark blue a dent."""
    return batch_fakes.dark()


def scan(number: int = 0) -> Image.Image:
    """Draw a grey panel with a scratch and a dent."""
    pixels = np.full((HEIGHT, WIDTH, 3), 160, np.uint8)
    pixels[20 + number : 25 + number, 30:150] = 0
    pixels[80:110, 60 + number : 100 + number] = (0, 0, 200)
    return Image.fromarray(pixels)


def truth(name: str, number: int = 0) -> AnnotatedImage:
    """Return what is on a scan."""
    regions = (
        Region("scratch", box(30, 20 + number, 150, 25 + number)),
        Region("dent", box(60 + number, 80, 100 + number, 110)),
    )
    return AnnotatedImage(name, WIDTH, HEIGHT, regions, group=f"car {number}")


def write_scans(folder: Path) -> None:
    """Write what most pages name: single scans, scans/, images/ with coco.json, valid/ with valid.json."""
    for name in ("scan.jpg", "photo.jpg", "scan.tif", "scans/a.jpg", "scans/b.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scan().save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    for side, first in (("images", 0), ("valid", 12)):
        (folder / side).mkdir()
        images = [truth(f"{number}.png", number) for number in range(first, first + 6)]
        for number, image in enumerate(images, first):
            scan(number).save(folder / side / image.file_name)
        file = folder / ("coco.json" if side == "images" else "valid.json")
        write_annotations(Dataset(KINDS, tuple(images)), file, format="coco")


def write_share(folder: Path) -> None:
    """Write a share of cars with annotations, a copy, a cut file and a near copy; and a second one to compare with."""
    share = folder / "share"
    images = []
    for number in range(12):
        name = f"car {number}/door.png"
        path = share / name
        path.parent.mkdir(parents=True)
        drawn(number, width=600, height=300).save(path)
        images.append(AnnotatedImage(name, 600, 300, (Region("dent", box(10, 10, 40, 40)),)))
    (share / "copy.png").write_bytes((share / "car 0/door.png").read_bytes())
    (share / "cut.jpg").write_bytes(jpeg(3)[:900])
    write_annotations(Dataset(KINDS, tuple(images)), folder / "coco.json", format="coco")
    write_annotations(Dataset(KINDS, tuple(images)), folder / "annotations.json", format="coco")
    other = folder / "other"
    other.mkdir()
    drawn(99).save(other / "door.png")
    for picture in images:
        target = folder / "images" / picture.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(share / picture.file_name, target)


def write_dataset(folder: Path) -> None:
    """Bring the share in, and the one to compare with."""
    from surfacedefect.datasets import ingest

    write_share(folder)
    ingest(folder / "share", folder / "dataset")
    ingest(folder / "other", folder / "benchmark")


def write_checked(folder: Path) -> None:
    """Write a data set, and three pictures of which two show the same."""
    write_dataset(folder)
    drawn().save(folder / "a.jpg", quality=95)
    Image.open(io.BytesIO(near_copy(png(drawn())))).save(folder / "b.jpg", quality=95)
    drawn(3).save(folder / "c.jpg", quality=95)


def write_wide(folder: Path) -> None:
    """Write the annotated scans on wider panels, so that some tiles of 300 px are clean."""
    for side, file in (("images", "coco.json"), ("valid", "valid.json")):
        images = []
        for path in sorted((folder / side).glob("*.png")):
            wide = Image.new("RGB", (4 * WIDTH, 3 * HEIGHT), (160, 160, 160))
            wide.paste(Image.open(path))
            wide.save(path)
            images.append(replace(truth(path.name, int(path.stem)), width=wide.width, height=wide.height))
        write_annotations(Dataset(KINDS, tuple(images)), folder / file, format="coco")


def write_labels(folder: Path) -> None:
    """Write outlines of a kind that has another name."""
    image = AnnotatedImage("door.jpg", 80, 60, (Region("Kratzer", box(10, 10, 40, 14)),))
    write_annotations(Dataset(("Kratzer",), (image,)), folder / "labels", format="labelme")


def write_fringes(folder: Path) -> None:
    """Render a panel under fringes."""
    rendered = small_fringes()
    Image.fromarray(rendered.image).save(folder / "fringes.tif")


def small_fringes() -> Any:
    """Render a panel under fringes, 90 x 70 mm."""
    from surfacedefect.synthetic import preset
    from surfacedefect.synthetic.render import render_scan

    return render_scan(3, replace(preset("deflectometry"), width=900, height=700))


def small(name: str = "rental") -> Any:
    """Return a preset for scans of 640 x 480 px."""
    from surfacedefect.synthetic import preset

    return replace(preset(name), width=640, height=480)


def training() -> dict[str, Any]:
    """Return the names of the page on training: a recipe of two steps, pictures, pixel counts."""
    from surfacedefect.evaluation import ScoreHistogram
    from surfacedefect.training.config import TrainingConfig
    from surfacedefect.training.pictures import read_pictures

    tiny = {"crop_px": 64, "decoder_channels": (16, 8, 8, 8, 8), "imagenet_start": False, "warmup_steps": 1}
    levels = np.arange(256)
    return {
        "pictures": read_pictures(Path("coco.json"), Path("images"), kinds=KINDS),
        "run_dir": Path("run"),
        "config": TrainingConfig(steps=2, batch=2, validate_every=2, checkpoint_every=2, **tiny),
        "counts": ScoreHistogram(tuple(levels.tolist()), tuple(levels[::-1].tolist())),
        "probabilities": np.linspace(0, 1, 5),
    }


def classify(tiles: np.ndarray) -> np.ndarray:
    """Call a tile damaged by its dark pixels."""
    return (tiles.max(axis=3) < 40).mean(axis=(1, 2)).astype(np.float32)


_MADE: dict[str, Callable[[Path], object]] = {
    "README.md": write_share,
    "docs/annotations.md": write_labels,
    "docs/data.md": write_share,
    "docs/data-check.md": write_checked,
    "docs/data-report.md": write_dataset,
    "docs/splits.md": write_dataset,
    "docs/tile-classifier.md": write_wide,
    "docs/ray.md": lambda folder: shutil.copytree(folder / "scans", folder / "share"),
    "docs/deflectometry.md": write_fringes,
}
_NAMES: dict[str, Callable[[], dict[str, Any]]] = {
    "README.md": lambda: {"small": small},
    "docs/synthetic.md": lambda: {"small": small},
    "docs/deflectometry.md": lambda: {"picture": small_fringes().image},
    "docs/training.md": training,
    "docs/tile-classifier.md": lambda: {"own_function": classify},
}
