from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from resuming import whole_and_resumed
from shapely.geometry import box
from typer.testing import CliRunner

import surfacedefect as sd
from surfacedefect.annotations import AnnotatedImage, Dataset, Region, write_coco
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.pictures import IGNORED_BIT, LOOSE_BIT, TrainingPicture, label_pixels, read_pictures
from surfacedefect.training.samples import Samples, disturb
from surfacedefect.training.sides import check_apart, copied

pytest.importorskip("torch", reason="needs the extra [train]")

# An encoder of the same family, a thirtieth of its size: what it takes to train hangs on its layers.
TINY = TrainingConfig(
    steps=4,
    batch=2,
    crop_px=64,
    encoder="tu-test_efficientnet",
    decoder_channels=(16, 8, 8, 8, 8),
    imagenet_start=False,
    synthetic_share=0.25,
    warmup_steps=2,
    validate_every=2,
    checkpoint_every=2,
)


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    made = []
    for number in range(3):
        image = rng.integers(90, 110, (96, 128, 3), dtype=np.uint8)
        image[40:44, 20:100] = 240
        mask = np.zeros((96, 128), np.uint8)
        mask[40:44, 20:100] = 1
        labels = label_pixels([mask, np.zeros_like(mask)], None, loose=False)
        made.append(TrainingPicture(image, labels, "own", f"p{number}"))
    return made


@pytest.fixture
def coco(tmp_path):
    return written(tmp_path, "images", seed=0)


def written(tmp_path, name, *, seed):
    images = tmp_path / name
    images.mkdir()
    rng = np.random.default_rng(seed)
    records = []
    for number in range(2):
        pixels = rng.integers(90, 110, (96, 128, 3), dtype=np.uint8)
        pixels[40:46, 20:100] = 240
        Image.fromarray(pixels).save(images / f"{number}.png")
        regions = (Region("scratch", box(20, 40, 100, 46)), Region("ignore", box(0, 0, 10, 10)))
        records.append(AnnotatedImage(f"{number}.png", 128, 96, regions))
    write_coco(tmp_path / f"{name}.json", Dataset(("scratch", "dent", "ignore"), tuple(records)))
    return tmp_path / f"{name}.json", images


def test_labels_tell_damage_doubt_and_hulls_apart():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 1
    ignore = np.zeros_like(mask)
    ignore[25:40, 25:40] = 1
    tight = label_pixels([mask], ignore, loose=False)
    assert tight[20, 20] == 1
    assert tight[9, 20] == IGNORED_BIT, "2 px around damage are doubt"
    assert tight[7, 20] == 0
    assert tight[27, 27] == 1, "damage wins over ignore"
    assert tight[35, 35] == IGNORED_BIT
    hull = label_pixels([mask], None, loose=True)
    assert hull[20, 20] == 1 | LOOSE_BIT
    assert hull[11, 20] == 1 | IGNORED_BIT, "the border of a hull is doubt on both sides"


def test_reading_keeps_ignore_and_size(coco):
    pictures = read_pictures(*coco, kinds=("scratch", "dent"))
    assert [p.labels.shape for p in pictures] == [(96, 128)] * 2
    assert pictures[0].labels[43, 50] == 1
    assert pictures[0].labels[5, 5] == IGNORED_BIT


def test_samples_are_functions_of_seed_and_number(pictures):
    one, other = Samples(pictures, TINY), Samples(pictures, TINY)
    for number in range(8):
        for mine, theirs in zip(one[number], other[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(one[0][0], one[1][0])


def test_samples_have_the_promised_shapes_and_hold_damage(pictures):
    damaged = 0
    for number in range(12):
        image, target, weight = Samples(pictures, TINY)[number]
        assert (image.shape, image.dtype) == ((64, 64, 3), np.uint8)
        assert (target.shape, set(np.unique(target)) <= {0, 1}) == ((2, 64, 64), True)
        assert (weight.shape, weight.dtype) == ((64, 64), np.float32)
        assert set(np.unique(weight)) <= {np.float32(0), np.float32(TINY.loose_weight), np.float32(1)}
        damaged += bool(target[0].any())
    assert damaged >= 6


def test_origins_get_their_share():
    plain = np.zeros((64, 64), np.uint8)
    image = np.zeros((64, 64, 3), np.uint8)
    pictures = [TrainingPicture(image, plain, "panels", "a")] * 30 + [TrainingPicture(image, plain, "new", "b")] * 3
    samples = Samples(pictures, TrainingConfig(origin_shares={"panels": 0.7}))
    assert samples._shares[:30].sum() == pytest.approx(0.7)
    assert samples._shares[30:].sum() == pytest.approx(0.3)


@pytest.mark.parametrize("shares", [{"panels": 1.0}, {"panels": 0.0, "new": 0.0}])
def test_origins_without_a_share_are_refused_or_left_out(shares):
    plain, image = np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.uint8)
    pictures = [TrainingPicture(image, plain, origin, origin) for origin in ("panels", "new")]
    with pytest.raises(sd.TrainingError, match="leave nothing for"):
        Samples(pictures, TrainingConfig(origin_shares=shares))
    kept = Samples(pictures, TrainingConfig(origin_shares={"panels": 1.0, "new": 0.0}))
    assert kept._shares.tolist() == [1, 0]


def test_disturbing_keeps_type_and_varies():
    image = np.full((64, 64, 3), 120, np.uint8)
    results = [disturb(image, np.random.default_rng(seed)) for seed in range(20)]
    assert all(r.shape == image.shape and r.dtype == np.uint8 for r in results)
    assert len({r.tobytes() for r in results}) == 20


def test_an_interrupted_run_ends_where_an_undisturbed_one_does(pictures, tmp_path):
    import torch

    whole, resumed = whole_and_resumed(pictures, tmp_path, TINY)
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)
    assert [record["step"] for record in resumed.history] == [2, 4]
    assert json.loads((tmp_path / "cut" / "history.json").read_text())[-1]["step"] == 4


def test_training_leaves_arithmetic_as_it_was(pictures, tmp_path):
    from surfacedefect.training.loop import denormals_flushed, train

    with denormals_flushed():
        assert np.float64(1e-310) * np.float64(1) == 0
        with denormals_flushed():
            pass
        assert np.float64(1e-310) * np.float64(1) == 0, "as it was before, inside too"
    train(pictures, tmp_path, config=replace(TINY, steps=1), workers=0)
    assert np.float64(1e-310) * np.float64(1) > 0, "SciPy's k-d tree crashes where it is not"


def test_a_checkpoint_of_another_recipe_is_refused(pictures, tmp_path):
    from surfacedefect.training.loop import train

    train(pictures, tmp_path, config=replace(TINY, steps=2), workers=0)
    with pytest.raises(sd.TrainingError, match="another recipe .*steps"):
        train(pictures, tmp_path, config=TINY, workers=0)


def test_training_lowers_the_loss(pictures, tmp_path):
    from surfacedefect.training.loop import train

    config = replace(TINY, steps=48, synthetic_share=0.0, painted_share=0.0, validate_every=12, ema_decay=0.5)
    history = train(pictures, tmp_path, config=config, validation=pictures, workers=0).history
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["ap_scratch"] > 0.3, "a bright line on grey is easy"
    assert np.isnan(history[-1]["ap_dent"]), "without dents there is no precision of dents"


@pytest.mark.parametrize(
    "change",
    [
        *({name: 0} for name in ("steps", "batch", "validate_every", "checkpoint_every")),
        *({"kinds": kinds} for kinds in ((), "dent", ("dent", "dent"), ("scratch", "damage"), tuple("abcdefg"))),
        *({"scale_range": pair} for pair in ((0, 1), (1,), (2, 1), (1, float("nan")))),
        {"crop_px": 100}, {"painted_share": 1.5}, {"seed": -1}, {"ema_decay": 7}, {"learning_rate": -1},
        {"loose_weight": float("nan")}, {"origin_shares": {"own": -0.5}},
        {"origin_shares": None}, {"loose_origins": "claims"}, {"kinds": ("",)},
    ],
)  # fmt: skip
def test_bad_recipes_are_refused(change):
    with pytest.raises(sd.TrainingError, match="expected"):
        TrainingConfig(**change)
    with pytest.raises(sd.TrainingError, match="unknown recipe entries"):
        TrainingConfig.from_dict({"no_such_entry": 1})


def test_nothing_to_train_on_is_refused():
    with pytest.raises(sd.TrainingError, match="no pictures"):
        Samples([], TINY)


def test_the_command_makes_a_model_that_detect_takes(coco, tmp_path, tiny_weights, monkeypatch):
    from surfacedefect import annotations
    from surfacedefect.cli import app

    read, parsed = annotations.read_coco, []
    monkeypatch.setattr(annotations, "read_coco", lambda path, **given: parsed.append(path.name) or read(path, **given))

    data, images = map(str, coco)
    valid_data, valid_images = map(str, written(tmp_path, "valid", seed=1))
    out = tmp_path / "own.onnx"
    given = ["--data", data, "--images", images, "--out", str(out)]
    given += ["--valid-data", valid_data, "--valid-images", valid_images]
    sizes = ["--steps", "2", "--batch", "2", "--crop", "64", "--workers", "0"]
    others = ["--loss", "focal-tversky", "--negatives", str(tiny_weights)]
    done = CliRunner().invoke(app, ["train", *given, *sizes, *others])
    assert done.exit_code == 0, done.output
    assert parsed == ["images.json", "valid.json"], "each file once"
    card = sd.ModelCard.from_json(out.with_suffix(".json").read_text())
    assert card.training["pictures"] == {"own": 2}
    assert {point.kind for point in card.operating_points} == {"scratch", "dent"}
    assert len(card.operating_points) == 2 * (255 + 1), "every threshold, and what is reported by default"
    assert set(card.calibration) == set(card.least_scores) == {"scratch", "dent"}
    assert "dent" not in card.thresholds, "without dents no threshold is better than another"
    assert card.calibration["dent"] == {"slope": 1.0, "offset": 0.0}, "without dents there is nothing to learn from"
    assert card.training["recipe"]["loss"] == "focal-tversky"
    found = sd.probability_map(images + "/0.png", model=out)
    assert found.kinds == ("scratch", "dent")


def test_crops_can_be_disturbed_on_the_device(pictures, tmp_path):
    from surfacedefect.training.loop import train

    here = replace(TINY, augment="device", synthetic_share=0.0, steps=2)
    undisturbed, disturbed = Samples(pictures, here, on_device=True)[0][0], Samples(pictures, here)[0][0]
    assert (undisturbed != disturbed).any()
    runs = [train(pictures, tmp_path / name, config=here, workers=0) for name in ("a", "b")]
    losses = [run.history[-1]["loss"] for run in runs]
    assert losses[0] == losses[1], "a function of the seed and the step"
    other = train(pictures, tmp_path / "c", config=replace(here, augment="workers"), workers=0)
    assert other.history[-1]["loss"] != losses[0]
    with pytest.raises(sd.TrainingError, match="'auto', 'workers', 'device'"):
        replace(TINY, augment="gpu")


def test_other_kinds_are_in_doubt_and_unknown_ones_refused(coco, tmp_path):
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    data, images = coco
    only = AnnotatedFolder(data, images)
    only_dents = only.read(TrainingConfig(kinds=("dent",)))
    assert only_dents[0].labels[43, 50] == IGNORED_BIT, "a scratch is no dent, but not clean either"
    ((record, path), *_) = only.pictures(("dent",))
    assert {region.kind for region in record.regions} == {"ignore"} and path == images / "0.png"
    with pytest.raises(sd.TrainingError, match=r"expected \['chip'\] among them"):
        train_model(
            AnnotatedFolder(data, images), tmp_path / "a.onnx", config=TrainingConfig(kinds=("scratch", "chip"))
        )
    with pytest.raises(sd.TrainingError, match="expected some of"):
        read_pictures(data, images, kinds=("chip",))
    assert not list(tmp_path.glob("a*"))


def test_going_on_with_other_pictures_is_refused(pictures, tmp_path):
    from surfacedefect.training.loop import train

    train(pictures, tmp_path, config=TINY, workers=0)
    with pytest.raises(sd.TrainingError, match="other pictures, labels or starting weights"):
        train(pictures[:2], tmp_path, config=TINY, workers=0)
    (tmp_path / "last.pt").write_bytes(b"something else")
    with pytest.raises(sd.TrainingError, match="no checkpoint of a training"):
        train(pictures, tmp_path, config=TINY, workers=0)


def test_a_picture_on_both_sides_is_refused(coco, tmp_path):
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    with pytest.raises(sd.TrainingError, match=r"2 picture\(s\) are among those to learn from"):
        train_model(AnnotatedFolder(*coco), tmp_path / "a.onnx", config=TINY, validation=AnnotatedFolder(*coco))


def test_a_copy_on_both_sides_is_refused(coco, tmp_path):
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    valid, pictures = written(tmp_path, "valid", seed=1)
    out = tmp_path / "new" / "a.onnx"
    folders = [AnnotatedFolder(*coco), AnnotatedFolder(valid, pictures)]
    check_apart(*folders, kinds=TINY.kinds)
    copy, original = pictures / "1.png", coco[1] / "0.png"
    copy.write_bytes(original.read_bytes())
    with pytest.raises(sd.TrainingError, match=rf"^1 picture\(s\) .* copies .*'{copy}' of '{original}'"):
        train_model(folders[0], out, config=TINY, validation=folders[1])
    assert not out.parent.exists()


def test_copies_are_told_by_their_bytes(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, content in {"a": b"one", "b": b"two", "c": b"one", "d": b"three", "e": b"2wo"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c, d, e, empty, none = (tmp_path / name for name in ("a", "b", "c", "d", "e", "empty", "none"))
    assert copied([a, b, none, empty], [c, d, e, none, empty]) == [(a, c)], "what is no file is told elsewhere"
    assert copied([a], [b, e]) == copied([], [a]) == []


@pytest.mark.parametrize("wrong", ["size", "missing", "start"])
def test_a_refused_training_leaves_no_folder(coco, tmp_path, wrong):
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    data, images = coco
    if wrong == "size":
        Image.new("RGB", (64, 64)).save(images / "1.png")
    if wrong == "missing":
        (images / "1.png").unlink()
    start = tmp_path / "none.pt" if wrong == "start" else None
    out, run = tmp_path / "new" / "deep" / "a.onnx", tmp_path / "runs" / "one"
    with pytest.raises((sd.TrainingError, sd.AnnotationError)):
        train_model(AnnotatedFolder(data, images), out, config=TINY, run_dir=run, start=start, workers=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "images.json"]


def test_a_car_on_both_sides_is_refused(coco, tmp_path):
    from surfacedefect.annotations import read_coco
    from surfacedefect.training.recipe import AnnotatedFolder, train_model

    data, images = coco
    read = read_coco(data)
    cars = tmp_path / "cars.json"
    write_coco(cars, Dataset(read.categories, tuple(replace(one, group="car 7") for one in read.images)))
    folder = AnnotatedFolder(cars, images)
    with pytest.raises(sd.TrainingError, match="such as 'car 7'"):
        train_model(folder, tmp_path / "a.onnx", config=TINY, validation=folder)


def test_false_alarms_of_an_earlier_model_are_looked_for_once(coco, tmp_path):
    from surfacedefect.training.recipe import collect_negatives

    data, images = coco
    pictures = read_pictures(data, images, kinds=("scratch", "dent"))
    pictures[1].image[70:80, 30:60] = 255
    card = sd.ModelCard(name="bright", kinds=("scratch",), window_px=64, overlap_px=16)
    bright = sd.FunctionPredictor(lambda windows: (windows[..., 0] > 200).astype(np.float32)[:, None], card=card)
    kept = tmp_path / "run" / "negatives.json"
    (found,) = collect_negatives(bright, pictures, kept)
    assert found.picture == 1 and 70 <= found.y <= 80
    assert collect_negatives(tmp_path / "no-such.onnx", pictures[::-1], kept) == [found._replace(picture=0)]
    with pytest.raises(sd.TrainingError, match="does not fit these pictures"):
        collect_negatives(bright, pictures[:1], kept)


def test_a_training_without_pictures_or_with_half_a_validation_is_refused(coco, tmp_path):
    from surfacedefect.cli import app

    data, images = map(str, coco)
    (folder := tmp_path / "folder.onnx").mkdir()
    for given in (
        ["--data", str(tmp_path / "none.json"), "--images", images, "--out", str(tmp_path / "a.onnx")],
        ["--data", data, "--images", images, "--out", str(tmp_path / "a.pt")],
        ["--data", data, "--images", images, "--out", str(folder)],
        ["--data", data, "--images", images, "--valid-data", data, "--out", str(tmp_path / "a.onnx")],
        ["--data", data, "--images", str(tmp_path / "nowhere"), "--out", str(tmp_path / "a.onnx")],
    ):
        done = CliRunner().invoke(app, ["train", *given])
        assert done.exit_code in (1, 2), done.output
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    assert not (tmp_path / "a.onnx").exists()
