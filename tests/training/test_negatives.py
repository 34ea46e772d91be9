from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import surfacedefect as sd
from surfacedefect.training.config import TrainingConfig
from surfacedefect.training.negatives import FalseAlarm, add_lookalikes, find_false_alarms, mirror
from surfacedefect.training.pictures import IGNORED_BIT, TrainingPicture
from surfacedefect.training.samples import Samples

PLAIN = TrainingConfig(crop_px=64, painted_share=0.0, synthetic_share=0.0, scale_range=(1.0, 1.0))


def by_brightness(kinds=("scratch", "dent")):
    """A predictor that takes brightness for damage of each kind; the second kind is never sure."""
    card = sd.ModelCard(name="bright", kinds=kinds, window_px=128, overlap_px=32, thresholds={kinds[0]: 0.6})

    def look(windows):
        bright = windows.mean(axis=3, dtype=np.float32) / 255
        return np.stack([bright / (1 + bit) for bit in range(len(kinds))], axis=1)

    return sd.FunctionPredictor(look, card=card)


def picture(*spots, labels=(), name="a", side=200):
    """Grey, with bright squares (row, column, side, brightness) and labels (row, column, side, label)."""
    image, known = np.full((side, side, 3), 30, np.uint8), np.zeros((side, side), np.uint8)
    for row, column, size, value in spots:
        image[row : row + size, column : column + size] = value
    for row, column, size, value in labels:
        known[row : row + size, column : column + size] = value
    return TrainingPicture(image, known, "own", name)


def test_false_alarms_are_what_is_confident_and_far_from_all_that_is_annotated():
    shown = picture(
        (10, 10, 12, 250),  # on damage
        (10, 60, 12, 250),  # on doubt
        (60, 10, 12, 250),  # 5 px beside damage
        (60, 60, 12, 230),  # clean
        (120, 60, 12, 200),  # clean, less sure
        (60, 120, 12, 120),  # not sure
        (120, 120, 3, 250),  # small
        labels=[(8, 8, 16, 2), (8, 58, 16, IGNORED_BIT), (60, 27, 5, 1)],
    )
    found = find_false_alarms(by_brightness(), [picture(name="empty"), shown])
    assert [alarm.picture for alarm in found] == [1, 1]
    for alarm, (row, column) in zip(found, [(60, 60), (120, 60)], strict=True):
        assert column <= alarm.x <= column + 12
        assert row <= alarm.y <= row + 12


def test_the_most_confident_ones_of_each_picture_come_first_overall():
    one = picture((10, 10, 12, 250), (60, 10, 12, 180), (110, 10, 12, 200))
    other = picture((10, 10, 12, 220), (60, 10, 12, 190))
    found = find_false_alarms(by_brightness(), [one, other], most_per_picture=2)
    assert [(alarm.picture, int(alarm.y) // 50) for alarm in found] == [(0, 0), (1, 0), (0, 2), (1, 1)]


def test_the_threshold_is_the_models_own_or_the_given_one():
    shown = [picture((10, 10, 12, 250), (60, 10, 12, 180), (110, 10, 12, 120))]
    assert len(find_false_alarms(by_brightness(), shown)) == 2
    assert len(find_false_alarms(by_brightness(), shown, threshold=0.9)) == 1
    detector = sd.Detector(by_brightness(), options=sd.DetectOptions(threshold=0.4))
    assert len(find_false_alarms(detector, shown)) == 3
    with pytest.raises(sd.OptionError):
        find_false_alarms(detector, shown, threshold=1.5)


@pytest.mark.parametrize("change", [{"most_per_picture": 0}, {"clear_px": -1}])
def test_bad_limits_are_refused(change):
    with pytest.raises(sd.TrainingError, match="expected"):
        find_false_alarms(by_brightness(), [picture()], **change)


def bright_share(samples, count=60):
    """Share of the crops in which the bright spot is seen; `disturb` keeps bright brighter than the rest."""
    spread = [np.ptp(samples[number][0].mean(axis=2).astype(int)) for number in range(count)]
    return np.mean(np.array(spread) > 90)


@pytest.fixture
def spotted():
    # a spot that a crop of 64 px meets by chance one time in a hundred
    return [picture((400, 500, 10, 255), side=800), picture(name="b")]


def test_crops_are_taken_around_false_alarms(spotted):
    alarms = [FalseAlarm(0, 505.0, 405.0)]
    always = Samples(spotted, replace(PLAIN, hard_negative_share=1.0), negatives=alarms)
    assert bright_share(always) > 0.9
    assert bright_share(Samples(spotted, PLAIN, negatives=alarms)) < 0.5, "the recipe does not ask for them"
    half = Samples(spotted, replace(PLAIN, hard_negative_share=0.5), negatives=alarms)
    again = Samples(spotted, replace(PLAIN, hard_negative_share=0.5), negatives=[tuple(alarms[0])])
    for number in range(4):
        for mine, theirs in zip(half[number], again[number], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_picture_with_many_false_alarms_does_not_crowd_out_the_others(spotted):
    alarms = [(0, 10.0, 10.0)] * 9 + [(1, 5.0, 5.0)]
    samples = Samples(spotted, replace(PLAIN, hard_negative_share=1.0), negatives=alarms)
    assert samples._negative_shares[-1] == pytest.approx(0.5)
    assert samples._negative_shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("alarm", [(2, 5, 5), (-1, 5, 5), (1, 500, 5), (0, float("nan"), 5)])
def test_false_alarms_of_other_pictures_are_refused(spotted, alarm):
    with pytest.raises(sd.TrainingError, match="find false alarms again"):
        Samples(spotted, PLAIN, negatives=[alarm])


def test_a_recipe_that_asks_for_false_alarms_needs_some(spotted):
    with pytest.raises(sd.TrainingError, match="hard_negative_share=0.3, but no negatives"):
        Samples(spotted, replace(PLAIN, hard_negative_share=0.3))


def test_new_shares_at_zero_draw_nothing():
    from surfacedefect.synthetic import render_window

    config = replace(PLAIN, scale_range=(0.5, 2.0))
    clean = [picture((90, 90, 9, 255), name="b")]
    for number in range(3):
        rng, again = (np.random.default_rng(number) for _ in range(2))
        image, _ = Samples(clean, config)._rendered(rng)
        np.testing.assert_array_equal(image, render_window(int(again.integers(0, 10**9)), size=64).image)
        assert rng.bit_generator.state == again.bit_generator.state
        image, _ = Samples(clean, config)._photographed(rng)
        again.random()  # whether to paint damage
        again.choice(1, p=[1.0])
        zoom, squeeze = np.exp(again.uniform(*np.log((0.5, 2.0)))), np.exp(again.uniform(-0.25, 0.25))
        width, height = min(64 / zoom * squeeze, 200), min(64 / zoom / squeeze, 200)
        x, y = again.uniform(0, 200 - width), again.uniform(0, 200 - height)
        whole = Image.fromarray(clean[0].image)
        expected = whole.resize((64, 64), Image.Resampling.BICUBIC, box=(x, y, x + width, y + height))
        np.testing.assert_array_equal(image, np.asarray(expected))
        assert rng.bit_generator.state == again.bit_generator.state


def test_rendered_paint_can_mirror_random_shapes(monkeypatch):
    from surfacedefect.synthetic import CLEAN, render_window

    asked = []

    def told(seed, *, size, config):
        asked.append(config)
        return render_window(seed, size=size, config=config)

    monkeypatch.setattr("surfacedefect.synthetic.render_window", told)
    recipe = TrainingConfig(crop_px=64, synthetic_share=1.0, jumble_share=0.5)
    samples = Samples([], recipe)
    pictures = [samples[number][0] for number in range(12)]
    assert {config.place for config in asked} == {"jumble", None}
    asked.clear()
    again = Samples([], replace(recipe, jumble_share=1.0, clean_share=1.0))
    assert not again[0][1].any() and asked == [replace(CLEAN, place="jumble")]
    assert any((again[number][0] != pictures[number]).any() for number in range(3))


def test_rendered_crops_can_be_clean():
    rendered = TrainingConfig(crop_px=64, synthetic_share=1.0)
    clean = Samples([], replace(rendered, clean_share=1.0))
    assert not any(clean[number][1].any() for number in range(12))
    usual = Samples([], rendered)
    assert any(usual[number][1].any() for number in range(12))


def test_lookalikes_change_the_picture_and_never_add_damage():
    paint = np.full((96, 80, 3), 120, np.uint8)
    labels = np.zeros((96, 80), np.uint8)
    labels[40:44] = 1
    drawn = set()
    covered = 0
    for seed in range(60):
        image, known = add_lookalikes(paint, labels, rng=np.random.default_rng(seed))
        assert (image.shape, image.dtype, known.dtype) == (paint.shape, np.uint8, np.uint8)
        assert (image != paint).any()
        np.testing.assert_array_equal(known & 1, labels)
        assert not known[labels == 0].any(), "what is drawn is clean, not doubt"
        covered += bool((known & IGNORED_BIT).any())
        drawn.add(image.tobytes())
    assert len(drawn) == 60
    assert 5 < covered < 55, "damage under a line or glint is doubt"
    assert (paint == 120).all()


def test_lookalikes_are_drawn_in_the_share_of_crops_that_is_asked_for(spotted):
    none, some, every = (Samples(spotted, replace(PLAIN, lookalike_share=share)) for share in (0.0, 0.3, 1.0))
    changed = sum(not np.array_equal(none[number][0], some[number][0]) for number in range(10))
    assert changed > 0
    assert all(not np.array_equal(none[number][0], every[number][0]) for number in range(10))


def test_a_run_from_before_the_new_entries_goes_on_and_negatives_are_taken(spotted, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from surfacedefect.training.loop import train

    config = replace(
        PLAIN, steps=2, batch=2, decoder_channels=(16, 8, 8, 8, 8), imagenet_start=False, checkpoint_every=1
    )

    class Stop(Exception):
        pass

    def stop(done, of, figures):
        raise Stop

    with pytest.raises(Stop):
        train(spotted, tmp_path, config=config, workers=0, progress=stop)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    for name in ("loss", "hard_negative_share", "clean_share", "jumble_share", "lookalike_share"):
        del state["config"][name]
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(sd.TrainingError, match="another recipe .*hard_negative_share"):
        train(spotted, tmp_path, config=replace(config, hard_negative_share=0.5), workers=0, negatives=[(0, 5.0, 5.0)])
    with pytest.raises(sd.TrainingError, match="another recipe .*loss"):
        train(spotted, tmp_path, config=replace(config, loss="focal-tversky"), workers=0)
    assert [r["step"] for r in train(spotted, tmp_path, config=config, workers=0).history] == [2]

    hard = replace(config, hard_negative_share=0.5, lookalike_share=0.5, loss="centre-line-dice")
    history = train(spotted, tmp_path / "hard", config=hard, workers=0, negatives=[(0, 5.0, 5.0)]).history
    assert np.isfinite(history[-1]["loss"])


def test_a_mirrored_scene_adds_its_light_and_leaves_the_crop_alone():
    paint = np.full((64, 64, 3), (100, 30, 30), np.uint8)
    scene = np.zeros((64, 64), np.uint8)
    scene[:, 32:] = 255
    seen = [mirror(paint, scene, rng=np.random.default_rng(seed)).astype(int) for seed in range(12)]
    assert (paint == (100, 30, 30)).all()
    assert all((one[:, 32:].mean() - one[:, :32].mean()) > 1 for one in seen), "bright things look bright"
    assert len({one.tobytes() for one in seen}) == 12
    strong = [one for one in seen if one[:, 34:].mean() > 80]
    assert strong and all(one.max() <= 255 and one.min() >= 0 for one in strong)


def test_undamaged_pieces_of_other_pictures_are_mirrored():
    grey = TrainingPicture(np.full((90, 90, 3), 90, np.uint8), np.zeros((90, 90), np.uint8), "own", "grey")
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[::8] = 255
    striped = TrainingPicture(stripes, np.ones((200, 200), np.uint8), "own", "damaged")
    config = replace(PLAIN, mirrored_share=1.0)
    crop = np.full((64, 64, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    only_grey = [Samples([grey, striped], config)._mirroring(crop, rng) for _ in range(10)]
    assert any((one != crop).any() for one in only_grey)
    assert all(np.abs(np.diff(one[:, 32, 0].astype(int))).max() < 40 for one in only_grey), "damage is not mirrored"
    clean = replace(striped, labels=np.zeros((200, 200), np.uint8))
    both = [Samples([clean], config)._mirroring(crop, rng) for _ in range(10)]
    assert any(np.abs(np.diff(one[:, :, 0].astype(int), axis=0)).max() > 40 for one in both)
    np.testing.assert_array_equal(Samples([clean], PLAIN)._mirroring(crop, rng), crop)
