"""The default weights on a real 4096 x 3072 photo that training never saw."""

from __future__ import annotations

import surfacedefect as sd
from surfacedefect.annotations import read_coco
from surfacedefect.evaluation import objects_from_polygons, truth_of


def test_most_of_the_scratched_area_is_found_with_few_false_alarms(real_data, shipped_weights, tmp_path):
    (record,) = read_coco(real_data / "demo" / "annotations.json").images
    found = sd.detect(real_data / "demo" / "images" / record.file_name, progress=False)
    view = truth_of(record, kinds=found.kinds).views["scratch"]
    scratch = view.state == 1
    predicted = found.probability_map.read("scratch") >= round(dict(found.thresholds)["scratch"] * 255)
    covered = (scratch & predicted).sum() / scratch.sum()
    counts = objects_from_polygons(found, truth_of(record, kinds=found.kinds).views["damage"], froc_thresholds=())
    assert covered >= 0.5
    assert counts.false_alarms <= 30
    assert found.coverage == 1
    found.plot(tmp_path / "overlay.png")
