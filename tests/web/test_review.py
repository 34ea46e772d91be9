"""Decisions: saved at once, never over somebody else's, undone in any order, and they outlive slider and model."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from web_runs import options

from surfacedefect.errors import OutputError, StaleReviewError, WebError
from surfacedefect.web import Decision, Workspace
from surfacedefect.web import review as reviewing
from surfacedefect.web.kept import Kept

NAME = "door.png"
BOX = ((300.0, 20.0), (340.0, 20.0), (340.0, 60.0), (300.0, 60.0))


def by_id(workspace, threshold=None):
    return {outline.id: outline for outline in workspace.found(NAME, threshold)}


def first(workspace, kind):
    return next(outline for outline in workspace.found(NAME) if outline.kind == kind)


def decide(workspace, outline, action, **more):
    version = workspace.review(NAME).version
    return workspace.decide(NAME, Decision(outline, action, **more), version=version)


def sidecar(workspace):
    return workspace.folder / "door.png.review.json"


def test_every_decision_is_in_the_file_at_once_and_found_again(own):
    scratch, dent = first(own, "scratch"), first(own, "dent")
    decide(own, dent.id, "reject")
    decide(own, scratch.id, "redraw", polygon=BOX)
    decide(own, "", "add", kind="dent", polygon=((500, 200), (520, 200), (520, 230)))
    assert json.loads(sidecar(own).read_text())["version"] == 3
    with Workspace(own.folder, options=own.options) as reloaded:
        assert reloaded.review(NAME) == own.review(NAME)
        found = by_id(reloaded)
        assert found == by_id(own)
        assert found[dent.id].decision == "rejected" and found[scratch.id].decision == "redrawn"
        assert shapely.equals(shapely.Polygon(found[scratch.id].polygon), shapely.Polygon(BOX))
        assert found[scratch.id].area_px == 1600 and found[scratch.id].area_mm2 == pytest.approx(16)
        added = next(outline for outline in found.values() if outline.decision == "added")
        assert added.kind == "dent" and added.found_kind is None and added.area_px == 300


def test_every_action(own):
    scratch = first(own, "scratch").id
    assert decide(own, scratch, "accept").decisions[0].verdict == "accepted"
    assert decide(own, scratch, "kind", kind="dent").decisions[0].verdict == "changed"
    assert by_id(own)[scratch].kind == "dent" and by_id(own)[scratch].found_kind == "scratch"
    assert decide(own, scratch, "kind", kind="scratch").decisions[0].verdict == "accepted"
    assert decide(own, scratch, "redraw", polygon=BOX).decisions[0].verdict == "redrawn"
    assert decide(own, scratch, "reject").decisions[0].verdict == "rejected"
    assert decide(own, scratch, "accept").decisions[0].verdict == "redrawn"  # what was drawn is kept
    assert decide(own, scratch, "clear").decisions == ()
    assert by_id(own)[scratch].decision is None
    added = decide(own, "", "add", kind="chip", polygon=BOX).decisions[0].outline
    assert decide(own, added, "reject").decisions[0].verdict == "rejected"
    assert decide(own, added, "clear").decisions[0].verdict == "added"
    assert decide(own, added, "redraw", polygon=[(x + 9, y) for x, y in BOX]).decisions[0].verdict == "added"
    assert decide(own, added, "remove").decisions == ()
    again = decide(own, "", "add", kind="chip", polygon=BOX).decisions[0].outline
    assert again in by_id(own)


@pytest.mark.parametrize(
    "decision",
    [
        Decision("nothing-1-2", "accept"),
        Decision("", "add", kind="dent", polygon=()),
        Decision("", "add", kind="dent", polygon=((0, 0), (50, 50), (50, 0), (0, 50))),
        Decision("", "add", kind="dent", polygon=((0, 0), (float("nan"), 50), (50, 0))),
        Decision("", "add", kind="dent", polygon=((9000, 0), (9000, 50), (9050, 0))),
        Decision("", "add", kind="dent", polygon=(("a", 0), (1, 50), (50, 0))),
        Decision("", "add", polygon=BOX),
        Decision("", "add", kind="a\nb", polygon=BOX),
        Decision("", "add", kind=" ", polygon=BOX),
        Decision("", "add", kind="x" * 50, polygon=BOX),
        Decision("dent-100-200", "kind"),
        Decision("dent-100-200", "remove"),
        Decision("dent-100-200", "forgive"),
        Decision("dent-100-200", "redraw", polygon=tuple((i, i % 7) for i in range(6000))),
    ],
)
def test_what_is_no_decision_is_refused_and_changes_nothing(own, decision):
    assert "dent-100-200" in by_id(own)
    with pytest.raises(WebError):
        own.decide(NAME, decision, version=0)
    assert own.review(NAME).version == 0 and not sidecar(own).exists()


def test_outlines_beyond_the_edge_are_cut(own):
    decide(own, "", "add", kind="dent", polygon=((-50, -50), (50, -50), (50, 50), (-50, 50)))
    added = next(outline for outline in own.found(NAME) if outline.decision == "added")
    assert shapely.Polygon(added.polygon).bounds == (0, 0, 50, 50)


def test_the_later_save_is_told_and_overwrites_nothing(own):
    with Workspace(own.folder, options=options(mm_per_px=0.1)) as other:
        dent, scratch = first(own, "dent").id, first(own, "scratch").id
        held = own.review(NAME).version
        other.decide(NAME, Decision(dent, "reject"), version=held)
        with pytest.raises(StaleReviewError, match=r"by tester at 20.*nothing was overwritten") as caught:
            own.decide(NAME, Decision(scratch, "accept"), version=held)
        assert caught.value.review == other.review(NAME) == own.review(NAME)
        own.decide(NAME, Decision(scratch, "accept"), version=caught.value.review.version)
        assert {v.verdict for v in other.review(NAME).decisions} == {"rejected", "accepted"}
        with pytest.raises(StaleReviewError):
            other.undo(NAME, version=held)
        with pytest.raises(StaleReviewError):
            other.set_threshold(NAME, 0.5, version=held)


def _adder(folder, barrier, wins):
    kept = Kept(folder)
    reviews = reviewing.Reviews(kept, who=str(os.getpid()))
    path = folder / "door.png"
    barrier.wait()
    won = 0
    while won < 15:
        version = reviews.read("door.png", path).version
        event = reviews.event(outline=f"added-{os.getpid()}-{won}", action="add", kind="dent", polygon=BOX + BOX[:1])
        try:
            reviews.save("door.png", path, lambda sheet: reviewing.decided(sheet, event), version=version, scan={})  # noqa: B023
            won += 1
        except StaleReviewError:
            pass
    wins.put(won)


def test_processes_and_threads_lose_no_decision(tmp_path):
    (tmp_path / "door.png").write_bytes(b"")
    context = multiprocessing.get_context("spawn")
    barrier, wins = context.Barrier(3), context.Queue()
    others = [context.Process(target=_adder, args=(tmp_path, barrier, wins)) for _ in range(2)]
    for process in others:
        process.start()
    threads = [threading.Thread(target=_adder, args=(tmp_path, barrier, wins))]
    for thread in threads:
        thread.start()
    for worker in (*others, *threads):
        worker.join(60)
    review = reviewing.Reviews(Kept(tmp_path), who="reader").read("door.png", tmp_path / "door.png")
    assert review.version == len(review.decisions) == 45


def _steps():
    """Sequences of decisions, undos and redos, on outlines A and B."""
    step = st.tuples(st.sampled_from(["accept", "reject", "kind", "redraw", "clear"]), st.sampled_from("AB"))
    return st.lists(st.one_of(step, st.just(("undo", "")), st.just(("redo", ""))), max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps=_steps())
def test_undo_takes_back_what_was_done_whatever_it_was(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("review")
    reviews = reviewing.Reviews(Kept(folder), who="tester")
    path = folder / "door.png"

    def save(change):
        return reviews.save("door.png", path, change, version=reviews.read("door.png", path).version, scan={})

    past, future = [], []  # what a list of whole states would do
    for action, outline in steps:
        now = reviews.read("door.png", path)
        assert (now.can_undo, now.can_redo) == (bool(past), bool(future))
        if action == "undo":
            if past:
                future.append(now.decisions)
                assert save(reviewing.undone).decisions == past.pop()
            else:
                with pytest.raises(WebError, match="nothing to undo"):
                    save(reviewing.undone)
        elif action == "redo":
            if future:
                past.append(now.decisions)
                assert save(reviewing.redone).decisions == future.pop()
            else:
                with pytest.raises(WebError, match="nothing to do again"):
                    save(reviewing.redone)
        else:
            past.append(now.decisions)
            future.clear()
            drawn = {"polygon": BOX + BOX[:1]} if action == "redraw" else {}
            kind = "dent" if action == "kind" else "scratch"
            seen = {"found_kind": "scratch", "found": BOX + BOX[:1], "score": 0.5}
            event = reviews.event(outline=outline, action=action, kind=kind, **drawn, **seen)
            save(lambda sheet: reviewing.decided(sheet, event))  # noqa: B023
        again = reviewing.Reviews(Kept(folder), who="reader").read("door.png", path)
        assert again == reviews.read("door.png", path)  # survives a reload


def test_threshold_note_and_state_are_kept_and_no_decisions(own):
    decide(own, first(own, "dent").id, "reject")
    own.set_threshold(NAME, 0.4, version=1)
    own.set_note(NAME, "seen <b>twice</b>", version=2)
    review = own.set_reviewed(NAME, True, version=3)
    assert (review.threshold, review.note, review.reviewed, review.who) == (0.4, "seen <b>twice</b>", True, "tester")
    assert own.scan(NAME).state == "reviewed"
    undone = own.undo(NAME, version=4)
    assert undone.decisions == () and undone.threshold == 0.4 and undone.reviewed
    for threshold in (0, 2, -1, True, "0.5", float("nan")):
        with pytest.raises(WebError, match="threshold"):
            own.set_threshold(NAME, threshold, version=5)
    with pytest.raises(WebError, match="10,000"):
        own.set_note(NAME, "x" * 10_001, version=5)


def test_ids_and_decisions_stay_when_the_slider_moves(own):
    """The bar is graded: at each threshold another length of it is outlined."""
    bar = first(own, "scratch")
    bar = next(o for o in own.found(NAME) if o.kind == "scratch" and o.length_px > 100)
    areas = {}
    for threshold in (0.66, 0.7, 0.8, 0.9):
        now = by_id(own, threshold)
        assert bar.id in now
        areas[threshold] = now[bar.id].area_px
    assert len(set(areas.values())) == 4
    decide(own, bar.id, "reject", threshold=0.8)
    for threshold in (None, 0.66, 0.7, 0.9):
        assert by_id(own, threshold)[bar.id].decision == "rejected"
    decide(own, bar.id, "accept", threshold=0.8)
    for threshold in (None, 0.66, 0.9, 0.99):  # stands as it was seen, also where the model sees nothing any more
        assert by_id(own, threshold)[bar.id].area_px == areas[0.8]
        assert by_id(own, threshold)[bar.id].decision == "accepted"
        alike = [o for o in own.found(NAME, threshold) if o.decision is None and o.kind == "scratch"]
        assert all(shapely.Polygon(o.polygon).disjoint(shapely.box(60, 40, 260, 48)) for o in alike)


def test_decisions_stay_after_another_model_has_looked(own):
    """Its outlines are others, its peaks elsewhere: what counts is the place."""
    from surfacedefect.detections import Detections
    from surfacedefect.web import results

    dent, bar = first(own, "dent"), next(o for o in own.found(NAME) if o.length_px > 100)
    decide(own, dent.id, "reject")
    decide(own, bar.id, "accept")
    path = own.folder / NAME
    old = own._shelf.result(NAME, path)
    import numpy as np

    from surfacedefect import ProbabilityMap

    values = np.zeros((2, 300, 700), np.uint8)
    values[0, 41:49, 70:255], values[0, 41, 70] = 230, 240
    values[1, 202:243, 98:147], values[1, 240, 140] = 220, 250
    values[1, 20:40, 600:640] = 250
    other = ProbabilityMap.from_arrays(values, ("scratch", "dent"), mm_per_px=0.1, model="other")
    results.save(
        Detections.from_map(
            other, scan_reference=None, threshold=0.5, kinds=("scratch", "dent"), least_area_px=9, simplify_px=0.5
        ),
        old.folder.parent,
        when="2026-01-01",
    )
    found = by_id(own)
    assert own.info(NAME).model == "other"
    assert found[dent.id].decision == "rejected" and found[dent.id].polygon != dent.polygon
    assert found[bar.id].decision == "accepted" and found[bar.id].polygon == bar.polygon
    assert [o.decision for o in found.values()].count(None) == 1 and len(found) == 3


def test_a_damaged_file_is_put_aside_and_said(own):
    dent = first(own, "dent").id
    for number, damage in enumerate(
        ["{", "[]", "null", '{"format": "surfacedefect-review", "format_version": 1}', ""], 1
    ):
        decide(own, dent, "reject")
        sidecar(own).write_text(damage)
        review = own.review(NAME)
        assert review.version == 0 and review.decisions == () and "damaged" in review.warning
        aside = own.folder / f"door.png.review.damaged-{number}.json"
        assert aside.read_text() == damage
    decide(own, dent, "accept")
    assert own.review(NAME).warning is not None and own.scan(NAME).state == "inspected"


def test_hostile_content_of_a_file_is_damage_not_a_crash(own):
    decide(own, first(own, "dent").id, "reject")
    good = json.loads(sidecar(own).read_text())
    for place, value in [
        (("events", 0, "found"), [[0, 0]]),
        (("events", 0, "found", 0), [1, 2, 3]),
        (("events", 0, "found", 0), [None, 2]),
        (("events", 0, "score"), 7),
        (("events", 0, "action"), "explode"),
        (("events", 0, "outline"), ""),
        (("events",), {}),
        (("done",), 9),
        (("version",), "1"),
        (("threshold",), 3),
    ]:
        record = json.loads(json.dumps(good))
        at = record
        for step in place[:-1]:
            at = at[step]
        at[place[-1]] = value
        sidecar(own).write_text(json.dumps(record))
        assert own.review(NAME).version == 0, place
    bow = json.loads(json.dumps(good))
    bow["events"][0]["found"] = [[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]
    sidecar(own).write_text(json.dumps(bow))
    assert own.found(NAME)


def test_a_file_of_a_newer_version_is_left_alone(own):
    decide(own, first(own, "dent").id, "reject")
    text = sidecar(own).read_text().replace('"format_version": 1', '"format_version": 2')
    sidecar(own).write_text(text)
    for act in (lambda: own.review(NAME), lambda: own.undo(NAME, version=1)):
        with pytest.raises(WebError, match="newer version"):
            act()
    assert sidecar(own).read_text() == text
    assert own.scans()


def test_a_full_disk_is_said_and_the_last_decision_stays(own, monkeypatch):
    decide(own, first(own, "dent").id, "reject")
    before = sidecar(own).read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OutputError, match="No space left|room|full"):
        decide(own, first(own, "scratch").id, "reject")
    monkeypatch.undo()
    assert sidecar(own).read_text() == before and not list(own.folder.glob(".*.part*"))


def test_decisions_need_no_inspection(tmp_path):
    from web_runs import panel, save

    save(tmp_path / NAME, panel())
    with Workspace(tmp_path, options=options()) as workspace:
        decide(workspace, "", "add", kind="dent", polygon=BOX)
        (added,) = workspace.found(NAME)
        assert added.score is None and added.area_px == 1600 and added.area_mm2 is None


FOUND = [[10, 10], [50, 10], [50, 50], [10, 10]]
EVENT = {"outline": "dent-1-1", "action": "accept", "kind": "dent", "found_kind": "dent", "found": FOUND}


def write_events(workspace, *events, **more):
    empty = reviewing._record(reviewing.Sheet())
    sidecar(workspace).write_text(json.dumps({**empty, "version": 1, "events": events, "done": len(events), **more}))


@pytest.mark.parametrize(
    "changes",
    [
        {"found": None},
        {"found": [[5, 5]] * 4},
        {"found": [[5, 5], [50, 50], [5, 5], [5, 5]]},
        {"found": [[0, 0], [1e12, 0], [1e12, 1e12], [0, 0]]},
        {"action": "redraw"},
        {"who": "\ud800"},
    ],
)
def test_a_decision_that_nothing_can_be_made_of_is_damage(own, changes):
    event = {name: value for name, value in {**EVENT, **changes}.items() if value is not None}
    write_events(own, event)
    assert "damaged" in own.review(NAME).warning
    assert own.found(NAME) and own.export(NAME, "html").data


def test_what_a_hand_drew_far_beyond_the_scan_is_not_measured(own):
    write_events(own, {**EVENT, "found": [[-9e6, 20], [9e6, 20], [9e6, 60], [-9e6, 60], [-9e6, 20]]})
    assert by_id(own)["dent-1-1"].area_px == 700 * 40
    write_events(own, {**EVENT, "found": [[8e6, 20], [9e6, 20], [9e6, 60], [8e6, 20]]}, version=2)
    assert "dent-1-1" not in by_id(own) and own.export(NAME, "csv").data


def test_an_added_outline_with_an_endless_number_does_not_stop_the_next(own):
    added = {"outline": "added-" + "9" * 5000, "action": "add", "kind": "dent", "polygon": FOUND}
    write_events(own, added)
    assert len(decide(own, "", "add", kind="dent", polygon=BOX).decisions) == 2
