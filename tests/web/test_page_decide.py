"""Deciding: by mouse, by keyboard alone, drawing, undo, and several people at once. In a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from shapely.geometry import Polygon
from web_browser import Watched, watched
from web_fake import FakeWorkspace, rendered

from surfacedefect.web import Decision, Review

NAME = "door.jpg"


@pytest.fixture(scope="module")
def workspace() -> FakeWorkspace:
    scan = rendered(7, width=600, height=440)
    scan.state = "inspected"
    return FakeWorkspace({NAME: scan})


@pytest.fixture(scope="module")
def session(chromium: Any, workspace: FakeWorkspace) -> Any:
    with watched(chromium, workspace) as found:
        yield found
        found.check()


@pytest.fixture
def seen(session: Watched, workspace: FakeWorkspace) -> Watched:
    scan = workspace.all[NAME]
    scan.history, scan.place, scan.saves = [Review()], 0, 0
    session.fresh(NAME)
    return session


def verdicts(workspace: FakeWorkspace) -> dict[str, str]:
    return {verdict.outline: verdict.verdict for verdict in workspace.review(NAME).decisions}


def chosen(seen: Watched) -> str:
    return str(seen.state("chosen"))


def test_a_walk_with_the_keyboard_alone(seen, workspace):
    keys = seen.page.keyboard
    keys.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "skip"
    keys.press("Tab")
    keys.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "defects-panel"
    keys.press("ArrowDown")
    first = chosen(seen)
    keys.press("a")
    second = chosen(seen)
    assert second != first, "on to the next undecided"
    keys.press("r")
    third = chosen(seen)
    keys.press("2")
    seen.saved()
    assert verdicts(workspace) == {first: "accepted", second: "rejected", third: "changed"}
    assert workspace.review(NAME).decisions[-1].kind == "dent"
    keys.press("u")
    seen.saved()
    seen.until(f"inspect.state.chosen === '{third}'")
    assert verdicts(workspace) == {first: "accepted", second: "rejected"}
    keys.press("y")
    seen.saved()
    assert verdicts(workspace)[third] == "changed"
    keys.press("?")
    assert seen.page.locator("#help").is_visible()
    keys.press("a")
    keys.press("Escape")
    assert seen.page.locator("#help").is_hidden()
    seen.saved()
    assert len(verdicts(workspace)) == 3, "behind an open dialog the keys do nothing"


def test_focus_is_seen_and_everything_has_a_name(seen):
    unnamed = seen.page.evaluate(
        "() => [...document.querySelectorAll('button, select, input, [role=progressbar], dialog, nav, "
        "aside, section.panel')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || "
        "e.textContent.trim() || (e.labels && e.labels.length))).map((e) => e.id || e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    reached = []
    for _ in range(45):
        seen.page.keyboard.press("Tab")
        name, outline = seen.page.evaluate(
            "[document.activeElement.id || document.activeElement.className, "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        if name:
            reached.append(name)
            assert outline != "none", f"the focus on '{name}' cannot be seen"
    for needed in (
        "theme",
        "open-help",
        "scan-filter",
        "scan",
        "upload",
        "run",
        "beside",
        "view",
        "threshold",
        "export",
        "reviewed",
    ):
        assert needed in reached


def test_quick_keys_are_all_saved_in_their_order(seen, workspace):
    for key in ["ArrowDown", *"araar"]:
        seen.page.keyboard.press(key)
    seen.saved()
    assert list(verdicts(workspace).values()) == ["accepted", "rejected", "accepted", "accepted", "rejected"]
    assert workspace.review(NAME).version == 5
    for _ in range(5):
        seen.page.keyboard.press("u")
    seen.saved()
    assert verdicts(workspace) == {}


def test_accepting_twice_makes_it_undecided_again(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    first = chosen(seen)
    seen.page.click("[data-act=accept]")
    seen.page.locator(f"tr[data-id={first}]").click()
    seen.page.click("[data-act=accept]")
    seen.saved()
    assert verdicts(workspace) == {}


def test_decisions_are_there_after_a_reload(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    first = chosen(seen)
    seen.page.keyboard.press("r")
    seen.saved()
    seen.page.click("#reviewed")
    seen.saved()
    seen.page.reload()
    row = seen.page.locator(f"tr[data-id={first}]")
    row.wait_for()
    assert row.get_attribute("class") == "rejected"
    assert seen.page.locator("#reviewed").inner_text() == "Reviewed"
    seen.page.click(".chip:has-text('Rejected')")
    assert seen.rows() == 1


def test_an_outline_is_redrawn(seen, workspace):
    outline = max(workspace.found(NAME), key=lambda found: found.area_px)
    seen.page.locator(f"tr[data-id={outline.id}]").click()
    seen.settle()
    seen.page.keyboard.press("e")
    corner = seen.page.locator(".leaflet-editing-icon").first
    corner.wait_for()
    seen.settle()
    box = corner.bounding_box()
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seen.page.mouse.move(*start)
    seen.page.mouse.down()
    seen.page.mouse.move(start[0] + 25, start[1] - 30, steps=4)
    seen.page.mouse.up()
    seen.page.keyboard.press("Enter")
    seen.saved()
    verdict = workspace.review(NAME).decisions[0]
    assert (verdict.outline, verdict.verdict) == (outline.id, "redrawn")
    before, after = Polygon(outline.polygon), Polygon(verdict.polygon)
    assert after.is_valid
    assert 100 < before.symmetric_difference(after).area < before.area / 2
    assert seen.page.locator(".leaflet-editing-icon").count() == 0


def test_missed_damage_is_drawn_and_removed_again(seen, workspace):
    seen.page.keyboard.press("d")
    seen.page.select_option("#drawn-kind", "dent")
    corners = [(300, 60), (350, 60), (350, 110), (300, 110)]
    for corner in [*corners, corners[0]]:
        seen.page.mouse.click(*seen.on_screen(*corner))
        seen.page.wait_for_timeout(120)
    seen.page.locator("#map-main").focus()
    seen.page.keyboard.press("Enter")
    seen.saved()
    verdict = workspace.review(NAME).decisions[0]
    assert (verdict.verdict, verdict.kind) == ("added", "dent")
    assert Polygon(verdict.polygon).area == pytest.approx(2500, rel=0.05)
    seen.until(f"inspect.state.chosen === '{verdict.outline}'")
    seen.page.keyboard.press("Delete")
    seen.saved()
    assert workspace.review(NAME).decisions == ()


def test_escape_leaves_a_drawing_and_nothing_is_saved(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("e")
    seen.page.locator("#drawing").wait_for()
    seen.page.keyboard.press("a")
    seen.page.keyboard.press("Escape")
    assert seen.page.locator("#drawing").is_hidden()
    assert chosen(seen) != "None"
    assert workspace.review(NAME).version == 0


def test_an_outline_that_crosses_itself_is_not_saved(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("e")
    seen.page.locator(".leaflet-editing-icon").first.wait_for()
    seen.page.evaluate(
        "inspect.maps.main.eachLayer((l) => { if (l.editing && l.editing.enabled()) { const c = [[10, 10], "
        "[60, 60], [60, 10], [10, 60]].map(([x, y]) => inspect.toMap(x, y)); l.setLatLngs(c); } })"
    )
    seen.page.click("#drawing-save")
    assert "crosses itself" in seen.page.locator(".toast").last.inner_text()
    assert seen.page.locator("#drawing").is_visible()
    seen.page.click("#drawing-cancel")
    assert workspace.review(NAME).version == 0


def other_saves(workspace: FakeWorkspace, besides: str = "") -> str:
    workspace.who = "bob"
    outline = next(found.id for found in workspace.found(NAME) if found.id != besides)
    workspace.decide(NAME, Decision(outline, "reject"), version=workspace.review(NAME).version)
    workspace.who = "ann"
    return outline


def test_somebody_elses_save_is_told_and_shown(seen, workspace):
    other = other_saves(workspace)
    toast = seen.page.locator(".toast:has-text('bob has saved')")
    toast.wait_for()
    seen.until(f"inspect.found('{other}').decision === 'rejected'")


def test_the_later_save_is_told_and_both_can_be_kept(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    first = chosen(seen)
    other = other_saves(workspace, first)
    seen.page.keyboard.press("a")
    conflict = seen.page.locator("#conflict")
    conflict.wait_for()
    assert "bob saved" in conflict.inner_text()
    assert first not in verdicts(workspace), "nothing of theirs is overwritten unasked"
    seen.page.keyboard.press("Escape")
    assert conflict.is_visible()
    seen.page.click("#conflict-mine")
    seen.saved()
    assert verdicts(workspace) == {other: "rejected", first: "accepted"}


def test_the_later_save_can_be_dropped(seen, workspace):
    seen.page.keyboard.press("ArrowDown")
    first = chosen(seen)
    other = other_saves(workspace, first)
    seen.page.keyboard.press("a")
    seen.page.locator("#conflict").wait_for()
    seen.page.click("#conflict-theirs")
    seen.until(f"inspect.found('{first}').decision === null && inspect.found('{other}').decision === 'rejected'")
    assert verdicts(workspace) == {other: "rejected"}
    seen.page.keyboard.press("ArrowDown")
    seen.page.keyboard.press("a")
    seen.saved()
    assert len(verdicts(workspace)) == 2, "and one can go on"


def test_hasty_hands_break_nothing(seen, workspace):
    """Maps come and go while they move, zoom and are drawn on; what goes wrong is in the page's errors."""
    small = rendered(3, width=200, height=150)
    small.state = "inspected"
    workspace.all["small.jpg"] = small
    for step in range(6):
        seen.page.evaluate("(name) => { inspect.open(name); }", ["small.jpg", NAME][step % 2])
        seen.page.wait_for_timeout([0, 80, 250][step % 3])
        for key in ("d", "e", "s", "ArrowDown", "h", "+", "Escape"):
            seen.page.keyboard.press(key)
    seen.page.wait_for_timeout(500)
    assert seen.errors == []
    assert seen.state("drawing") is None
    del workspace.all["small.jpg"]


def test_a_note_is_saved_when_typing_pauses_and_when_the_scan_is_left(seen, workspace):
    page, field = seen.page, seen.page.get_by_label("Note")
    field.click()
    page.keyboard.type("rear arch; see")  # letters that would decide elsewhere
    seen.until("inspect.state.review.note === 'rear arch; see'")
    page.keyboard.type(" photo <2>")
    page.keyboard.press("Escape")
    seen.saved()
    review = workspace.review(NAME)
    assert review.note == "rear arch; see photo <2>" and not review.decisions


def test_a_note_is_of_the_scan_that_was_open(chromium):
    two = FakeWorkspace(
        {name: rendered(number, width=300, height=220) for number, name in enumerate((NAME, "hood.jpg"))}
    )
    for scan in two.all.values():
        scan.state = "inspected"
    with watched(chromium, two) as seen:
        seen.open(NAME)
        field = seen.page.get_by_label("Note")
        field.fill("of the door")
        seen.page.evaluate("inspect.neighbour(1)")  # the field is not left first
        seen.until("inspect.state.name === 'hood.jpg' && inspect.state.review !== null")
        seen.until("document.getElementById('saved').textContent === ''")  # nothing waits, and this one has no saves
        assert (two.review(NAME).note, two.review("hood.jpg").note) == ("of the door", "")
        assert field.input_value() == ""
        field.fill("unsaved")
        seen.page.evaluate("window.dispatchEvent(new Event('beforeunload', { cancelable: true }))")
        seen.saved()
        assert two.review("hood.jpg").note == "unsaved"
        seen.choose_scan(NAME)
        seen.until("document.getElementById('note').value === 'of the door'")
        seen.check()


def test_what_is_typed_outlives_other_saves_of_mine_and_gives_way_to_somebody_elses(seen, workspace):
    page, field = seen.page, seen.page.get_by_label("Note")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    field.press_sequentially("half")
    seen.saved()
    assert field.input_value() == "half", "the answer to the decision has no note yet"
    field.blur()
    seen.saved()
    assert workspace.review(NAME).note == "half" and len(workspace.review(NAME).decisions) == 1
    workspace.set_note(NAME, "theirs", version=workspace.review(NAME).version)
    field.fill("mine")
    field.blur()
    page.locator("#conflict-theirs").click()
    seen.until("document.getElementById('note').value === 'theirs'")
    seen.saved()
    assert workspace.review(NAME).note == "theirs"


def test_the_note_stands_in_its_place_at_every_width(chromium, workspace):
    for width in (1440, 768, 360):
        with watched(chromium, workspace, width=width) as seen:
            seen.open(NAME)
            if seen.page.locator("[data-tab=defects]").is_visible():
                seen.page.click("[data-tab=defects]")
            field = seen.page.get_by_label("Note")
            field.fill("line\n" * 30)
            field.evaluate("field => field.scrollIntoView({ block: 'nearest' })")
            box, foot = field.bounding_box(), seen.page.locator(".foot").bounding_box()
            assert 40 < box["height"] < 200 and box["y"] + box["height"] <= foot["y"] + 1
            assert not seen.scrolls_sideways()
            field.fill("")
            seen.check()
