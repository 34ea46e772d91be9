from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

import surfacedefect as sd
from surfacedefect.training.config import LossName, TrainingConfig

torch = pytest.importorskip("torch", reason="needs the extra [train]")

from surfacedefect.training.losses import (  # noqa: E402
    bce_dice,
    centre_line_dice,
    focal_tversky,
    loss_of,
    soft_skeleton,
)

LOSSES = get_args(LossName)
SURE = 20.0


def scratched(*, side=96):
    """A scuff, a scratch of 3 px and a hairline of 1 px; a dent."""
    target = torch.zeros(2, 2, side, side)
    target[0, 0, 10:40, 10:40] = 1
    target[0, 0, 60:63, 10:80] = 1
    target[1, 0, 30, 5:90] = 1
    target[1, 1, 50:70, 20:50] = 1
    return target


def logits_of(share):
    return SURE * (2 * share - 1)


def config_of(name):
    return TrainingConfig(loss=name)


@pytest.mark.parametrize("name", LOSSES)
def test_a_perfect_prediction_costs_nothing_and_the_contrary_a_lot(name):
    target = scratched()
    weight = torch.ones(2, 96, 96)
    assert loss_of(logits_of(target), target, weight=weight, config=config_of(name)) < 1e-3
    assert loss_of(-logits_of(target), target, weight=weight, config=config_of(name)) > 0.8
    nothing = torch.zeros_like(target)
    assert loss_of(logits_of(nothing), nothing, weight=weight, config=config_of(name)) < 1e-3


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("case", ["perfect", "contrary", "random", "flat", "nothing there", "all ignored"])
def test_gradients_are_finite(name, case):
    torch.manual_seed(0)
    target = torch.zeros(2, 2, 96, 96) if case == "nothing there" else scratched()
    weight = torch.zeros(2, 96, 96) if case == "all ignored" else torch.rand(2, 96, 96).round()
    start = {"perfect": 5 * logits_of(target), "contrary": -5 * logits_of(target), "flat": torch.zeros_like(target)}
    logits = start.get(case, 3 * torch.randn_like(target)).clone().requires_grad_()
    loss = loss_of(logits, target, weight=weight, config=config_of(name))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    if case in ("random", "flat"):
        assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_change_nothing(name):
    torch.manual_seed(1)
    target, logits = scratched(), torch.randn(2, 2, 96, 96)
    weight = torch.ones(2, 96, 96)
    weight[:, 55:75, 30:60] = 0
    out = (weight == 0)[:, None].expand_as(target)
    other_logits = torch.where(out, -7 * torch.randn_like(logits), logits)
    other_target = torch.where(out, 1 - target, target)
    config = config_of(name)
    first = loss_of(logits, target, weight=weight, config=config)
    second = loss_of(other_logits, other_target, weight=weight, config=config)
    torch.testing.assert_close(first, second)
    logits.requires_grad_()
    loss_of(logits, target, weight=weight, config=config).backward()
    assert logits.grad[out].abs().max() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_pixel_counts_by_its_weight(name):
    target = scratched()
    wrong = target.clone()
    wrong[0, 0, 60:63, 10:45] = 0
    full, less = torch.ones(2, 96, 96), torch.ones(2, 96, 96)
    less[0, 60:63, 10:45] = 0.3
    costs = [loss_of(logits_of(wrong), target, weight=weight, config=config_of(name)) for weight in (less, full)]
    assert costs[0] < 0.9 * costs[1]


def test_the_default_is_what_it_was():
    torch.manual_seed(2)
    target, logits, weight = scratched(), torch.randn(2, 2, 96, 96), torch.rand(2, 96, 96)
    p, w = torch.sigmoid(logits), weight[:, None]
    entropy = -(target * torch.log(p) + (1 - target) * torch.log(1 - p)) * w
    both, total = (p * target * w).sum((0, 2, 3)), ((p + target) * w).sum((0, 2, 3))
    expected = entropy.sum() / (2 * weight.sum() + 1) + 0.5 * (1 - (2 * both + 100) / (total + 100)).mean()
    assert TrainingConfig().loss == "bce-dice"
    torch.testing.assert_close(loss_of(logits, target, weight=weight, config=TrainingConfig()), expected)
    torch.testing.assert_close(bce_dice(logits, target, weight=weight, dice=0.5), expected)


def dice_of(logits, target, weight):
    return bce_dice(logits, target, weight=weight, dice=1.0) - bce_dice(logits, target, weight=weight, dice=0.0)


def test_a_broken_thin_line_costs_more_in_centre_line_dice_than_in_dice():
    target = scratched()[:1, :1]
    broken = target.clone()
    broken[0, 0, 60:63, 30:45] = 0
    weight = torch.ones(1, 96, 96)
    in_dice = dice_of(logits_of(broken), target, weight)
    in_centre_line = centre_line_dice(logits_of(broken)[:, 0], target[:, 0], weight=weight)
    assert in_centre_line > 2 * in_dice, "beside a scuff, area hardly sees the gap"


def test_centre_line_dice_prefers_a_thinner_line_to_a_broken_one_and_dice_does_not():
    target = torch.zeros(1, 1, 96, 96)
    target[0, 0, 40:45, 10:80] = 1
    broken, thinner, weight = target.clone(), torch.zeros_like(target), torch.ones(1, 96, 96)
    broken[0, 0, :, 40:60] = 0
    thinner[0, 0, 41:44, 10:80] = 1
    area = [dice_of(logits_of(share), target, weight) for share in (thinner, broken)]
    line = [centre_line_dice(logits_of(share)[:, 0], target[:, 0], weight=weight) for share in (thinner, broken)]
    assert area[0] > area[1]
    assert line[0] < 0.2 * line[1]


def test_the_centre_line_is_of_scratches_only():
    target = scratched()
    weight = torch.ones(2, 96, 96)
    no_dent, no_line = logits_of(target), logits_of(target)
    no_dent[:, 1] = -SURE
    no_line[1, 0] = -SURE
    extra = [
        float(
            loss_of(logits, target, weight=weight, config=config_of("centre-line-dice"))
            - loss_of(logits, target, weight=weight, config=config_of("bce-dice"))
        )
        for logits in (no_dent, no_line)
    ]
    assert extra[0] < 1e-4 < 0.05 < extra[1]


def test_a_missed_pixel_costs_more_than_one_too_much_in_focal_tversky():
    target, weight = torch.zeros(1, 1, 64, 64), torch.ones(1, 64, 64)
    target[..., 20:40, 20:40] = 1
    missed, extra = target.clone(), target.clone()
    missed[..., 20:30, 20:40] = 0
    extra[..., 40:50, 20:40] = 1
    losses = [float(focal_tversky(logits_of(share), target, weight=weight)) for share in (missed, extra)]
    assert losses[0] > losses[1]
    expected = (0.7 * 200 / (200 + 0.7 * 200 + 100)) ** 0.75
    assert losses[0] == pytest.approx(expected, rel=1e-3), "with 100 px of smoothing"


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 13])
def test_a_line_comes_down_to_its_centre(width):
    share = torch.zeros(1, 40, 60)
    share[0, 10 : 10 + width, 5:55] = 1
    line = soft_skeleton(share, rounds=6)[0]
    assert 1 <= float(line[:, 30].sum()) <= 2
    rows = np.flatnonzero(line[:, 30].numpy())
    assert abs(rows.mean() - (9.5 + width / 2)) <= 0.5
    assert float(line.max()) <= 1


def test_unknown_losses_and_lines_without_scratches_are_refused():
    with pytest.raises(sd.TrainingError, match="expected one of 'bce-dice'"):
        TrainingConfig(loss="dice")
    with pytest.raises(sd.TrainingError, match="expected 'scratch'"):
        replace(TrainingConfig(loss="centre-line-dice"), kinds=("dent",))


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_down_the_gradient_costs_less(name):
    torch.manual_seed(3)
    target, weight = scratched(), torch.ones(2, 96, 96)
    logits = torch.randn_like(target).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    costs = []
    for _ in range(25):
        loss = loss_of(logits, target, weight=weight, config=config_of(name))
        costs.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert costs[-1] < 0.5 * costs[0]
