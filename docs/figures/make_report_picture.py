"""Write docs/images/data-report.jpg: three places of the report on a small data set of rendered scans.

Needs a Chromium (``chromium``, ``chromium-browser`` or ``google-chrome``); without one it says so and writes nothing.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance, ImageFilter

from surfacedefect.datasets import IngestOptions, ingest, report
from surfacedefect.datasets._layout import Layout
from surfacedefect.datasets.manifest import change_manifest
from surfacedefect.synthetic.dataset import write_dataset

IMAGES = Path(__file__).parents[1] / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FIRST_SEED = 4000
COUNT, VARIED, SIZE = 12, 5, {"width": 1280, "height": 960}
WINDOW, GAP, MOST_BYTES = (1040, 1180), 24, 280_000
SECTIONS = ((), ("near-duplicates", "flags"), ("damage",))


def make_share(folder: Path) -> None:
    """Render scans, and add what a share has too: copies, crops, blur, broken files."""
    rendered = folder.with_name("rendered")
    write_dataset(rendered, count=COUNT, seed=FIRST_SEED, preset="rental", size=SIZE)
    shutil.copytree(rendered / "images", folder / "images")
    shutil.copy(rendered / "annotations.json", folder)
    scans = sorted((folder / "images").iterdir())
    for number, scan in enumerate(scans[:VARIED]):
        image = Image.open(scan).convert("RGB")
        shutil.copy(scan, folder / f"copy of {scan.name}")
        image.crop((40, 20, 1250, 940)).save(folder / f"crop {number}.jpg", quality=70)
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"mirrored {number}.jpg", quality=80)
        (folder / f"cut {number}.jpg").write_bytes((folder / f"crop {number}.jpg").read_bytes()[:20_000])
    image.filter(ImageFilter.GaussianBlur(8)).save(folder / "out of focus.jpg")
    ImageEnhance.Brightness(image).enhance(2.5).save(folder / "too bright.jpg")


def fill(dest: Path) -> None:
    """Write what `data check` and `data split` would find: these pictures are made so that it is known."""
    draw = random.Random(0)
    splits = [draw.choice(["train", "train", "valid", "test"]) for _ in range(COUNT)]

    def change(row: dict[str, Any]) -> dict[str, Any]:
        name = Path(row["source_path"]).stem
        flags = [word for sign, word in (("focus", "blurred"), ("bright", "overexposed")) if sign in name]
        scan = int(number[0]) % FIRST_SEED if (number := re.findall(r"\d+$", name)) else VARIED - 1
        near = f"scan {scan}" if scan < VARIED else None
        return {"flags": flags, "near_duplicate_group": near, "split": splits[scan]}

    change_manifest(Layout(dest), change)


def screenshot(browser: str, page: Path, sections: tuple[str, ...]) -> Image.Image:
    """Photograph the top of a page, or of what is left of it when only some sections are: browsers scroll unsurely."""
    text = page.read_text(encoding="utf-8")
    if sections:
        kept = [re.search(f'<section id="{name}".*?</section>', text, re.DOTALL) for name in sections]
        text = re.sub("<header>.*?</header>", "", text, flags=re.DOTALL)
        body = "".join(found[0] for found in kept if found)
        text = re.sub("<main>.*</main>", lambda _: f"<main>{body}</main>", text, flags=re.DOTALL)
    part, out = page.with_name("part.html"), page.with_name("part.png")
    part.write_text(text, encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    window = f"--window-size={WINDOW[0]},{WINDOW[1]}"
    subprocess.run([browser, *options, window, f"--screenshot={out}", part.as_uri()], check=True, capture_output=True)
    return Image.open(out).convert("RGB")


def main() -> None:
    """Write the picture, of the best quality that is small enough."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed; nothing was written")
    with tempfile.TemporaryDirectory() as folder:
        share, dest = Path(folder) / "share", Path(folder) / "Rental returns"
        make_share(share)
        ingest(share, dest, options=IngestOptions(name="webdavs://cloud.example.com/scans"))
        fill(dest)
        written = report(dest, Path(folder) / "report", annotations=share / "annotations.json", title="Rental returns")
        shots = [screenshot(browser, written.path, names) for names in SECTIONS]
    picture = Image.new("RGB", (len(shots) * (WINDOW[0] + GAP) - GAP, WINDOW[1]), "white")
    for at, shot in enumerate(shots):
        picture.paste(shot, (at * (WINDOW[0] + GAP), 0))
    picture = picture.resize((2 * picture.width // 3, 2 * picture.height // 3), Image.Resampling.LANCZOS)
    path = IMAGES / "data-report.jpg"
    for quality in range(92, 30, -4):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    print(f"{path.name}: {picture.width} x {picture.height}, quality {quality}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
