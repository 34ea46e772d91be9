from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

import surfacedefect as sd


def test_one_call_finds_what_is_there(make_dark, scratched):
    found = sd.detect(scratched, model=make_dark(), mm_per_px=0.1)
    assert [(d.kind, d.area_px) for d in found] == [("dent", 1600), ("scratch", 1000)]
    scratch = found[1]
    assert scratch.polygon.bounds == (100, 50, 200, 60)
    assert scratch.length_mm == pytest.approx(10, abs=0.2)
    assert scratch.width_mm == pytest.approx(1, abs=0.1)
    assert scratch.area_mm2 == pytest.approx(10)
    assert found.coverage == 1


def test_every_holder_of_a_picture_gives_the_same(make_dark, scratched, tmp_path):
    path = tmp_path / "ein Blech ü.png"
    Image.fromarray(scratched).save(path)
    with rasterio.open(path) as dataset:
        results = [
            sd.detect(source, model=make_dark())
            for source in (path, str(path), scratched, Image.open(path), io.BytesIO(path.read_bytes()), dataset)
        ]
    expected = [d.polygon.wkt for d in results[0]]
    assert all([d.polygon.wkt for d in found] == expected for found in results)


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("max_memory", [0, 2**30])
def test_at_equals_detect_polygon_for_polygon(threshold, max_memory):
    def look(windows):
        return (windows[..., 0].astype(np.float32) / 255)[:, None]

    card = sd.ModelCard(name="red", kinds=("scratch",), window_px=64, overlap_px=16)
    grain = np.random.default_rng(3).normal(0, 1, (20, 30))
    smooth = np.asarray(Image.fromarray(grain).resize((300, 200), Image.Resampling.BICUBIC))
    scan = np.repeat(np.clip(smooth * 80 + 100, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    detector = sd.Detector(sd.FunctionPredictor(look, card=card), options=sd.DetectOptions(max_memory=max_memory))
    moved = detector.detect(scan).at(threshold)
    fresh = sd.detect(scan, model=detector.predictor, threshold=threshold, max_memory=max_memory)
    assert [d.polygon.wkt for d in moved] == [d.polygon.wkt for d in fresh]
    assert moved.scores.tolist() == fresh.scores.tolist()
    if threshold < 0.9:
        assert len(moved), "an empty comparison proves nothing"


def test_kinds_and_least_area_are_obeyed(make_dark, scratched):
    assert {d.kind for d in sd.detect(scratched, model=make_dark(), kinds=("dent",))} == {"dent"}
    assert [d.kind for d in sd.detect(scratched, model=make_dark(), least_area_px=1200)] == ["dent"]


def test_georeferenced_scan_keeps_its_transform(make_dark, scratched, tmp_path):
    path = tmp_path / "scan.tif"
    transform = Affine(0.5, 0, 1000, 0, -0.5, 2000)
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=200, count=3, dtype="uint8", transform=transform, crs="EPSG:3857"
    ) as file:
        file.write(scratched.transpose(2, 0, 1))
    found = sd.detect(path, model=make_dark(), kinds=("scratch",))
    assert found.polygons[0].bounds == (100, 50, 200, 60)
    assert found.geometries("scan")[0].bounds == (1050, 1970, 1100, 1975)
    assert found.probability_map.transform == transform


def test_no_scale_no_millimetres(make_dark, scratched):
    with pytest.raises(sd.ScaleUnknownError, match="mm_per_px"):
        _ = sd.detect(scratched, model=make_dark())[0].length_mm


def test_clean_scan_gives_an_empty_result_that_was_inspected(make_dark):
    found = sd.detect(np.full((100, 100, 3), 128, np.uint8), model=make_dark())
    assert len(found) == 0
    assert found.polygons == []
    assert found.scores.size == 0
    assert found.coverage == 1


@pytest.mark.parametrize("size", [(16, 16), (511, 513), (16, 2000), (2000, 17)])
def test_odd_sizes(make_dark, size):
    width, height = size
    found = sd.detect(np.zeros((height, width, 3), np.uint8), model=make_dark(), least_area_px=0)
    assert [d.area_px for d in found] == [width * height]


@pytest.mark.parametrize("size", [(1, 1), (15, 400), (400, 15)])
def test_a_scan_too_small_to_inspect_is_refused(make_dark, size):
    width, height = size
    detector = sd.Detector(make_dark())
    for call in (detector.detect, detector.probability_map, detector.plan):
        with pytest.raises(sd.ScanError, match=f"found {width} x {height} px, expected at least 16 px on each side"):
            call(np.zeros((height, width, 3), np.uint8))


def test_very_wide_scan(make_dark):
    scan = np.full((200, 60_000, 3), 128, np.uint8)
    scan[90:100, 59_000:59_900] = 0
    found = sd.detect(scan, model=make_dark(window_px=512, overlap_px=64))
    assert [d.polygon.bounds for d in found] == [(59_000, 90, 59_900, 100)]


def test_probability_map_goes_where_it_is_told(make_dark, scratched, tmp_path):
    out = tmp_path / "new" / "map.tif"
    found = sd.probability_map(scratched, model=make_dark(), out=out)
    assert found.path == out
    assert sd.ProbabilityMap.open(out).read("scratch")[55, 150] == 255


def test_plan_says_what_detect_does(make_dark, scratched):
    told = []
    sd.Detector(make_dark()).detect(scratched, progress=lambda done, of: told.append(of))
    plan = sd.plan(scratched, model=make_dark())
    assert plan.windows == told[0]
    assert (plan.width, plan.height, plan.window_px, plan.overlap_px) == (300, 200, 64, 16)
    assert plan.seconds > 0
    assert plan.peak_memory_bytes > 0
    assert not plan.map_on_disk
    assert sd.plan(scratched, model=make_dark(), max_memory=0).map_on_disk


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 0},
        {"threshold": 1.5},
        {"threshold": float("nan")},
        {"threshold": {"hail": 0.5}},
        {"mm_per_px": -1},
        {"mm_per_px": float("inf")},
        {"mm_per_px": 1e300},
        {"kinds": [[1]]},
        {"kinds": ("hail",)},
        {"kinds": ()},
        {"kinds": "scratch"},
        {"overlap": -1},
        {"overlap": 64},
        {"overlap": 3.5},
        {"batch": 0},
        {"threads": 0},
        {"max_memory": -1},
        {"least_area_px": -3},
        {"simplify_px": float("nan")},
        {"on_error": "ignore"},
        {"no_such_option": 1},
    ],
)
def test_bad_options_are_refused_before_any_work(make_dark, scratched, options):
    with pytest.raises(sd.OptionError, match="expected|knows"):
        sd.detect(scratched, model=make_dark(), **options)


def test_numpy_scalars_are_numbers(make_dark, scratched):
    found = sd.detect(
        scratched, model=make_dark(), threshold=np.float32(0.4), mm_per_px=np.float32(0.1), overlap=np.int64(8)
    )
    assert len(found) == 2


def test_a_map_whose_file_was_removed_says_so(make_dark, scratched):
    found = sd.detect(scratched, model=make_dark(), max_memory=0)
    found.probability_map.path.unlink()
    with pytest.raises(sd.ScanError, match="detect again"):
        found.at(0.4)


def test_a_progress_that_is_none_is_refused_before_any_work(make_dark, scratched):
    for progress in (3, None, "yes"):
        with pytest.raises(sd.OptionError, match=f"progress is {progress!r}; expected True, False, or a function"):
            sd.detect(scratched, model=make_dark(), progress=progress)
        with pytest.raises(sd.OptionError, match="progress"):
            sd.probability_map(scratched, model=make_dark(), progress=progress)


def test_a_runtime_beside_a_predictor_is_refused(make_dark, scratched):
    with pytest.raises(sd.OptionError, match="runtime is 'onnx' and model is a .*FunctionPredictor; expected"):
        sd.detect(scratched, model=make_dark(), runtime="onnx")
    assert len(sd.detect(scratched, model=make_dark(), runtime="auto")) == 2


@pytest.mark.parametrize("size", [{"scale": "x"}, {"scale": True}, {"scale": 0}, {"scale": float("nan")}])
def test_a_size_of_a_picture_that_is_none_is_refused(make_dark, scratched, size):
    found = sd.detect(scratched, model=make_dark())
    with pytest.raises(sd.OptionError, match="scale is .*; expected a number above 0"):
        found.plot(**size)
    with pytest.raises(sd.OptionError, match="long_side_px is 'x'; expected"):
        found.plot(long_side_px="x")


def test_nothing_warns_in_threads(make_dark, scratched, tmp_path):
    path = tmp_path / "scan.png"
    Image.fromarray(scratched).save(path)
    scratched[0:4, 0:90] = 0  # in the corner, where nothing has to be moved

    def work(number):
        found = sd.detect((path, scratched)[number % 2], model=make_dark(), max_memory=(0, 2**30)[number // 2 % 2])
        found.plot()
        found.to_coco(tmp_path / f"{number}.json")
        return len(found)

    work(0)  # what is imported late may bring filters of its own
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        with ThreadPoolExecutor(4) as threads:
            counts = list(threads.map(work, range(40)))
        assert warnings.filters == before
    assert counts == [2, 3] * 20


def test_messages_say_none_and_shorten_long_paths(tmp_path):
    with pytest.raises(sd.OptionError, match="model is None; expected"):
        sd.Detector(None)
    with pytest.raises(sd.ScanError, match="found None, expected a path"):
        sd.Scan.open(None)
    long = tmp_path.joinpath(*["folder" * 20] * 10, "scan.jpg")
    for call in (sd.Scan.open, sd.ProbabilityMap.open, lambda path: sd.Detector(path.with_suffix(".onnx"))):
        with pytest.raises(sd.SurfaceDefectError, match=r"folderfolder.*\.\.\..*scan\.") as caught:
            call(long)
        assert len(str(caught.value)) < 700
    with pytest.raises(sd.ScanError) as caught:
        sd.Scan.open("x" * 5000)
    assert len(str(caught.value)) < 700


def test_an_empty_path_is_called_so():
    for path in ("", "  "):
        with pytest.raises(sd.ScanError, match="found the empty path '.*', expected the path of a picture"):
            sd.Scan.open(path)


def test_a_model_that_is_none_is_refused():
    with pytest.raises(sd.OptionError, match="Predictor"):
        sd.Detector(lambda windows: windows)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_memory", [0, 2**30])
@pytest.mark.filterwarnings("error")
def test_nothing_warns(make_dark, scratched, tmp_path, max_memory):
    Image.fromarray(scratched).save(tmp_path / "scan.jpg")
    found = sd.detect(tmp_path / "scan.jpg", model=make_dark(), max_memory=max_memory)
    found.plot(tmp_path / "overlay.png")
    found.probability_map.save(tmp_path / "map.tif")
    assert sd.ProbabilityMap.open(tmp_path / "map.tif").read().any()


BANNED = ["torch", "onnxruntime", "matplotlib", "pandas", "skimage", "scipy", "typer"]


@pytest.mark.parametrize("statement", ["import surfacedefect", "import surfacedefect; surfacedefect.Detector"])
def test_importing_loads_nothing_heavy(statement):
    code = f"{statement}\nimport sys\nprint([name for name in {BANNED} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists_and_knows_where_it_lives():
    for name in sd.__all__:
        value = getattr(sd, name)
        if isinstance(value, type):
            assert value.__doc__
    assert set(sd.__all__) <= set(dir(sd))
    with pytest.raises(AttributeError):
        _ = sd.no_such_name


def test_a_least_score_comes_from_the_card_and_gives_way_to_a_threshold(scratched):
    scratched[150:160, 20:60] = (255, 0, 0)
    kinds, thresholds = ("scratch", "dent"), {"scratch": 0.2, "dent": 0.2}
    card = sd.ModelCard(
        name="red", kinds=kinds, window_px=64, overlap_px=16, thresholds=thresholds, least_scores={"scratch": 0.95}
    )

    def look(windows):
        red = np.where(windows[..., 0] > windows[..., 1], windows[..., 0].astype(np.float32) / 255 * 0.9, 0)
        return np.stack([red, red], axis=1).astype(np.float32)

    model = sd.FunctionPredictor(look, card=card)
    assert {defect.kind for defect in sd.detect(scratched, model=model)} == {"dent"}
    assert {defect.kind for defect in sd.detect(scratched, model=model, threshold=0.3)} == set(kinds)
    assert {one.kind for one in sd.detect(scratched, model=model, threshold={"dent": 0.3})} == {"dent"}
    assert {one.kind for one in sd.detect(scratched, model=model, threshold={"scratch": 0.3})} == set(kinds)
    assert {one.kind for one in sd.detect(scratched, model=model, least_score=0)} == set(kinds)
    assert not sd.detect(scratched, model=model, threshold=0.3, least_score=0.95)
    assert {one.kind for one in sd.detect(scratched, model=model, least_score={"scratch": 0})} == set(kinds)
    for bad in (-1, 2, "high", {"hail": 0.5}):
        with pytest.raises(sd.OptionError, match="least_score"):
            sd.detect(scratched, model=model, least_score=bad)
