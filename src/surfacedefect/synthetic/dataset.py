"""A folder of synthetic scans with their truth: pictures, masks, COCO outlines and a manifest.

A scan is whole once its record is there, and the record holds the sums of its picture and mask. So a run that was
interrupted goes on where it stopped, and what a folder holds does not depend on how many processes made it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry import mapping, shape

from surfacedefect._checks import expect, is_whole
from surfacedefect._files import atomic_path, check_folder, write_json
from surfacedefect._machine import usable_cores
from surfacedefect._progress import window_bar
from surfacedefect._version import __version__
from surfacedefect._workers import WorkerDiedError, in_processes
from surfacedefect.annotations import AnnotatedImage, Dataset, Region, write_coco
from surfacedefect.card import sha256_of
from surfacedefect.errors import OptionError, OutputError
from surfacedefect.synthetic.camera import encode_jpeg
from surfacedefect.synthetic.config import FIRST_BENCHMARK_SEED, SyntheticConfig
from surfacedefect.synthetic.render import SyntheticScan, render_scan
from surfacedefect.synthetic.truth import SyntheticTruth

Progress = bool | Callable[[int, int], None]

FORMATS = ("coco",)
"""What `write_dataset` can write."""

MASK_CODES = {0: "clean", 1: "scratch", 2: "dent", 3: "scratch and dent", 255: "ignore"}
"""What the values of a mask file mean; ignore is damage too faint to be asked for."""

_KIND = "surfacedefect synthetic data set"
_CATEGORIES = ("scratch", "dent", "ignore")
_FOLDERS = ("images", "masks", "records")
_MANIFEST, _ANNOTATIONS = "manifest.json", "annotations.json"
_SAME_IN_A_FOLDER = ("version", "format", "preset", "first_seed", "config")


def write_dataset(
    out: str | Path,
    *,
    count: int,
    seed: int = 0,
    preset: str | None = None,
    config: SyntheticConfig | None = None,
    size: Mapping[str, int] | None = None,
    format: str = "coco",
    workers: int | None = None,
    progress: Progress = False,
) -> Path:
    """Render scans into a folder, with masks, outlines and a manifest.

    The same arguments give the same bytes with any number of workers, on the same machine and numpy. A second run with
    the same arguments renders only what is missing or damaged, one with a larger `count` adds to the folder. Only one
    run at a time may write into a folder.

    ``images/``
        PNG, or JPEG when the config has a ``jpeg_quality``: then each file is the compression that the renderer
        applies anyway, and decodes to the very pixels of ``render_scan(seed, config).image``.
    ``masks/``
        PNG, uint8, one channel; the values are in `MASK_CODES`.
    ``annotations.json``
        COCO with the categories scratch, dent and ignore; a picture's id is its seed. The outlines draw the masks.
    ``manifest.json``
        Version, preset, config, and for every scan its files, seed, size, scale, regions a kind and sha256.
    ``records/``
        One file a scan, which says that it is whole.

    Parameters
    ----------
    out
        The folder; made when missing.
    count
        Number of scans, 1 or more.
    seed
        Seed of the first one; the others follow. From 0, and with a preset below 10**9: the presets for benchmarks,
        ``bench-...``, add 10**9 themselves. With a config of your own, up to 2**63 - 1.
    preset
        A name in `surfacedefect.synthetic.presets.PRESETS`; None is ``"rental"`` unless there is a config.
    config
        What the scans show, instead of a preset.
    size
        ``{"width": ..., "height": ...}`` in px, or one of them, in place of the preset's; not for benchmark presets.
    format
        ``"coco"``.
    workers
        Processes; None is one a core. With more than one, a script must keep its calls behind
        ``if __name__ == "__main__":``.
    progress
        True shows a bar on a terminal; a function is called with (done, total).

    Returns
    -------
    Path
        The manifest.

    Raises
    ------
    OptionError
        An argument is out of its range, or the folder holds scans of other arguments.
    OutputError
        The folder cannot be written or holds files of something else, the disk is full, or a worker died. What is
        whole stays, and the next run goes on from there.

    Examples
    --------
    >>> import tempfile
    >>> small = SyntheticConfig(width=64, height=64)
    >>> manifest = write_dataset(tempfile.mkdtemp(), count=1, seed=7, config=small, workers=1)
    >>> [image["file"] for image in json.loads(manifest.read_text())["images"]]
    ['images/synthetic-0000000007.jpg']
    """
    run = _run(out, count=count, seed=seed, preset=preset, config=config, size=size, format=format)
    cores = usable_cores() if workers is None else _whole("workers", workers, least=1)
    check_folder(run.out)
    earlier = _earlier(run)
    _sweep(run.out)
    if earlier is None or earlier["count"] < run.count:
        images = [] if earlier is None else earlier["images"]
        write_json(run.manifest, run.head | {"count": run.count, "complete": False, "images": images})
    bar = window_bar("synthetic scans", unit="scans") if progress is True else nullcontext(progress or None)
    with bar as told:
        _render_missing(run, workers=cores, told=told)
    return _assemble(run)


@dataclass(frozen=True)
class _Run:
    """What a call was asked for."""

    out: Path
    seeds: range
    preset: str | None
    config: SyntheticConfig
    format: str

    @property
    def count(self) -> int:
        return len(self.seeds)

    @property
    def manifest(self) -> Path:
        return self.out / _MANIFEST

    @property
    def head(self) -> dict[str, Any]:
        """The part of the manifest that is known beforehand, as JSON reads it back."""
        head = {
            "kind": _KIND,
            "version": __version__,
            "format": self.format,
            "preset": self.preset,
            "first_seed": self.seeds[0],
            "config": asdict(self.config),
            "mask_codes": MASK_CODES,
        }
        return dict(json.loads(json.dumps(head)))


@dataclass(frozen=True)
class _Job:
    """One scan to render."""

    out: Path
    seed: int
    config: SyntheticConfig

    @property
    def stem(self) -> str:
        return f"synthetic-{self.seed:010d}"

    @property
    def image(self) -> str:
        return f"images/{self.stem}{'.png' if self.config.jpeg_quality is None else '.jpg'}"

    @property
    def mask(self) -> str:
        return f"masks/{self.stem}.png"

    @property
    def record(self) -> Path:
        return self.out / "records" / f"{self.stem}.json"


def _run(
    out: str | Path, *, count: int, seed: int, preset: str | None, config: SyntheticConfig | None,
    size: Mapping[str, int] | None, format: str,
) -> _Run:  # fmt: skip
    if "\0" in str(out):
        raise OutputError(f"the path {str(out)!r} holds a null character; expected the path of a folder")
    if format not in FORMATS:
        raise OptionError(f"format is {format!r}; expected one of {', '.join(FORMATS)}")
    if preset is not None and config is not None:
        raise OptionError(f"both preset {preset!r} and a config are given; expected one of them, leave the other out")
    count, seed = _whole("count", count, least=1), _whole("seed", seed, least=0)
    if config is None:
        from surfacedefect.synthetic.presets import preset as config_of

        preset = "rental" if preset is None else preset
        config = config_of(preset)
        seed = _first_seed(preset, seed=seed, count=count)
        config = config if size is None else _resized(preset, config, size)
    elif size is not None:
        raise OptionError(
            f"both a config and size {dict(size)} are given; expected one: set width and height in the config"
        )
    if not isinstance(config, SyntheticConfig):
        raise OptionError(f"config is {type(config).__name__}; expected a SyntheticConfig or None")
    if seed + count > 2**63:
        raise OptionError(f"the last seed would be {seed + count - 1}; expected at most 2**63 - 1: take a smaller seed")
    return _Run(Path(out), range(seed, seed + count), preset, config, format)


def _resized(preset: str, config: SyntheticConfig, size: Mapping[str, int]) -> SyntheticConfig:
    if preset.startswith("bench-"):
        raise OptionError(f"size is {dict(size)} with preset '{preset}', which has one size; leave the size out")
    if unknown := sorted(set(size) - {"width", "height"}):
        raise OptionError(f"size names {', '.join(map(repr, unknown))}; expected 'width', 'height' or both")
    return replace(config, width=size.get("width", config.width), height=size.get("height", config.height))


def _first_seed(preset: str, *, seed: int, count: int) -> int:
    """Keep the seeds of training and of benchmarks apart."""
    first = FIRST_BENCHMARK_SEED
    bench = preset.startswith("bench-")
    if seed + count > first:
        why = f"preset '{preset}' adds {first} itself" if bench else "from there on they are kept for benchmarks"
        found = f"seed {seed} and count {count} lead to seed {seed + count - 1}"
        raise OptionError(f"{found}; expected them all below {first}: {why}. Take a smaller seed or count")
    return seed + first if bench else seed


def _whole(name: str, value: Any, *, least: int) -> int:
    expect(is_whole(value) and value >= least, name, value, f"a whole number, {least} or more")
    return int(value)


def _earlier(run: _Run) -> dict[str, Any] | None:
    """Return the manifest of the run before in the same folder, None when there was none."""
    if not run.manifest.exists():
        foreign = sorted(path.name for path in run.out.iterdir() if not path.name.startswith("."))
        if foreign:
            found = f"'{run.out}' holds '{foreign[0]}' but no '{_MANIFEST}'"
            raise OutputError(
                f"{found}; expected a new or empty folder, or one of an earlier run. Choose another folder"
            )
        return None
    try:
        found = json.loads(run.manifest.read_text(encoding="utf-8"))
        before, images = int(found["count"]), list(found["images"])
        differing = _differences(found, run.head)
        if found["kind"] != _KIND:
            raise ValueError(found["kind"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(f"'{run.manifest}' is no manifest of synthetic scans; choose another folder") from error
    if before > run.count:
        differing.append(f"count is {before} there and {run.count} here (it may grow, not shrink)")
    if differing:
        raise OptionError(
            f"'{run.out}' belongs to a run with other arguments: {'; '.join(differing)}. "
            "Give the same ones, or choose another folder"
        )
    return {"count": before, "images": images}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    pairs = [(name, there[name], here[name]) for name in _SAME_IN_A_FOLDER if name != "config"]
    if there["preset"] == here["preset"]:  # two presets differ in too many fields to name
        fields = dict.fromkeys([*here["config"], *there["config"]])
        pairs += [(f"config.{name}", there["config"].get(name), here["config"].get(name)) for name in fields]
    return [f"{name} is {old!r} there and {new!r} here" for name, old, new in pairs if old != new]


def _sweep(out: Path) -> None:
    """Remove what a killed process left half written."""
    for folder in _FOLDERS:
        for part in (out / folder).glob(".synthetic-*.part.*"):
            with suppress(OSError):
                part.unlink()


def _render_missing(run: _Run, *, workers: int, told: Callable[[int, int], None] | None) -> None:
    jobs = [_Job(run.out, seed, run.config) for seed in run.seeds]
    missing = [job for job in jobs if _whole_record(job) is None]
    done = len(jobs) - len(missing)

    def tell(finished: int = 1) -> None:
        nonlocal done
        done += finished
        if told is not None:
            told(done, len(jobs))

    tell(0)
    try:
        if min(workers, len(missing)) > 1:
            in_processes(_render, missing, workers=workers, told=tell)
        else:
            for job in missing:
                _render(job)
                tell()
    except WorkerDiedError as error:
        raise OutputError(
            f"a worker process died while it rendered into '{run.out}', perhaps for lack of memory: run the same "
            f"again with fewer than {workers} workers, it goes on where it stopped. If it happens at once, in a script "
            "of your own, put the call behind `if __name__ == '__main__':`"
        ) from error
    except MemoryError as error:
        raise OutputError(
            f"there is not enough memory to render into '{run.out}' with {workers} workers; give fewer, or a config of "
            "smaller scans. The same run again goes on where it stopped"
        ) from error
    finally:
        _sweep(run.out)


def _render(job: _Job) -> None:
    """Render one scan and write its picture, its mask and, last, its record."""
    # Uncompressed first: the file below is then the one compression of this picture, not a second one.
    scan = render_scan(job.seed, replace(job.config, jpeg_quality=None))
    quality = job.config.jpeg_quality
    written = {job.image: _encoded(scan.image, quality), job.mask: _encoded(_mask(scan.truth), None)}
    for name, content in written.items():
        with atomic_path(job.out / name) as part:
            part.write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in written.items()}
    write_json(job.record, _record(job, scan, sums=sums))


def _encoded(pixels: NDArray[np.uint8], quality: int | None) -> bytes:
    """Encode as PNG, or as JPEG just as the renderer does."""
    if quality is not None:
        return encode_jpeg(pixels, quality)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=3)  # four times as fast as 6, a tenth larger
    return file.getvalue()


def _mask(truth: SyntheticTruth) -> NDArray[np.uint8]:
    """Code a truth as one uint8 (H, W), see `MASK_CODES`."""
    codes = np.asarray(truth.masks["scratch"] > 0, np.uint8)
    codes[truth.masks["dent"] > 0] |= 2
    codes[(truth.ignore > 0) & (codes == 0)] = 255
    return codes


def _record(job: _Job, scan: SyntheticScan, *, sums: Mapping[str, str]) -> dict[str, Any]:
    height, width = scan.image.shape[:2]
    outlines = replace(scan.truth, masks={**scan.truth.masks, "ignore": scan.truth.ignore}).polygons
    counts = Counter(kind for kind, _ in outlines)
    return {
        "image": {
            "file": job.image,
            "mask": job.mask,
            "seed": job.seed,
            "width": width,
            "height": height,
            "mm_per_px": scan.mm_per_px,
            "regions": {kind: counts[kind] for kind in _CATEGORIES},
            "sha256": sums[job.image],
            "mask_sha256": sums[job.mask],
        },
        "outlines": [{"kind": kind, "geometry": mapping(polygon)} for kind, polygon in outlines],
    }


def _whole_record(job: _Job) -> dict[str, Any] | None:
    """Return the record of a scan whose files are as they were written, otherwise None."""
    try:
        record: dict[str, Any] = json.loads(job.record.read_text(encoding="utf-8"))
        image = record["image"]
        Dataset(_CATEGORIES, (_annotated(record),))
        named = image["seed"] == job.seed and image["file"] == job.image and image["mask"] == job.mask
        same = named and sha256_of(job.out / job.image) == image["sha256"]
        return record if same and sha256_of(job.out / job.mask) == image["mask_sha256"] else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None


def _annotated(record: Mapping[str, Any]) -> AnnotatedImage:
    image = record["image"]
    name = Path(image["file"])
    regions = tuple(Region(entry["kind"], shape(entry["geometry"])) for entry in record["outlines"])
    return AnnotatedImage(name.name, image["width"], image["height"], regions, name.stem, "synthetic", image["seed"])


def _assemble(run: _Run) -> Path:
    """Write the outlines and the manifest of all scans, in the order of their seeds."""
    images, annotated = [], []
    for seed in run.seeds:
        path = _Job(run.out, seed, run.config).record
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            annotated.append(_annotated(record))
            images.append(record["image"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise OutputError(f"'{path}' changed while scans were rendered; run the same again") from error
    write_coco(run.out / _ANNOTATIONS, Dataset(_CATEGORIES, tuple(annotated)))
    write_json(run.manifest, run.head | {"count": run.count, "complete": True, "images": images})
    return run.manifest
