"""What is seen: colours over known truth, the table, the threshold, small screens. In a real browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from web_browser import Watched, colours_at, is_yellow, watched
from web_fake import FakeScan, FakeWorkspace, rendered

EVIL = "<img src=x onerror=alert(1)>.jpg"


@pytest.fixture(scope="module")
def scan() -> FakeScan:
    made = rendered(7, width=600, height=440)
    made.state = "inspected"
    return made


@pytest.fixture(scope="module")
def workspace(scan: FakeScan) -> FakeWorkspace:
    broken = rendered(9, width=64, height=64)
    broken.state, broken.error = (
        "failed",
        "'broken.jpg' is no picture: found <b>text</b>; expected a JPEG; save it again",
    )
    return FakeWorkspace(
        {"door.jpg": scan, EVIL: rendered(5, width=200, height=150, mm_per_px=None), "broken.jpg": broken}
    )


@pytest.fixture(scope="module")
def seen(chromium: Any, workspace: FakeWorkspace) -> Any:
    with watched(chromium, workspace) as found:
        found.open()
        yield found
        found.check()


@pytest.fixture
def door(seen: Watched) -> Watched:
    seen.fresh("door.jpg")
    return seen


def test_damage_is_yellow_clean_is_blue_and_the_rest_is_grey(door, scan):
    door.page.evaluate("inspect.state.opacity = 1; inspect.emit('view')")
    door.page.wait_for_timeout(100)
    truth = np.maximum(*scan.maps.values())
    damaged = ndimage.binary_erosion(truth >= 0.5, iterations=2)
    clean = ~ndimage.binary_dilation(truth > 0.01, iterations=12) & scan.seen
    clean[:, -80:] = clean[:, :60] = False  # buttons lie over the left
    clean[-60:] = False
    assert is_yellow(colours_at(door, damaged)).mean() > 0.9
    blue = colours_at(door, clean)
    assert not is_yellow(blue).any()
    under = np.array([scan.image[row, col] for row, col in np.argwhere(clean)[:: max(1, clean.sum() // 40)]]).mean(
        axis=0
    )
    more_blue = (blue.mean(axis=0) - under)[2] - (blue.mean(axis=0) - under)[0]
    assert more_blue > 15, "clean surface is tinted blue"
    unseen = np.zeros_like(scan.seen)
    unseen[60:-60, -20:-4] = True
    hatch = colours_at(door, unseen, 120)
    grey = (np.ptp(hatch, axis=1) < 12) & (abs(hatch.mean(axis=1) - 150) < 12)
    assert 0.2 < grey.mean() < 0.8, "hatched: stripes and gaps"


def test_the_colours_go_with_opacity_and_with_h(door, scan):
    damaged = ndimage.binary_erosion(scan.maps["scratch"] >= 0.5, iterations=2)
    assert is_yellow(colours_at(door, damaged)).mean() > 0.8
    door.page.keyboard.press("h")
    door.page.wait_for_timeout(100)
    assert not is_yellow(colours_at(door, damaged)).any()
    door.page.keyboard.press("h")
    door.page.click("#view")
    door.page.locator("#opacity").fill("0")
    door.page.keyboard.press("Escape")
    assert door.page.locator("#view-menu").is_hidden()
    assert door.page.evaluate("inspect.maps.main.getPane('damage').style.opacity") == "0"


def test_the_other_palette_is_of_other_colours(door, scan):
    door.page.click("#view")
    with door.page.expect_response(lambda answer: "palette=safe" in answer.url and "damage" in answer.url):
        door.page.select_option("#palette", "safe")
    door.page.keyboard.press("Escape")
    door.page.reload()
    door.page.wait_for_selector("#defects tbody tr")
    assert door.state("palette") == "safe", "the choice is kept"
    door.page.evaluate("localStorage.clear()")


def test_names_are_text(seen):
    seen.choose_scan(EVIL, rows=False)
    assert seen.page.locator("#scan-title").inner_text() == EVIL
    assert seen.page.locator("img[src=x]").count() == 0
    seen.until("inspect.maps.main !== null")
    assert "px" in seen.page.locator("#scale-text").inner_text(), "without a scale there are no millimetres"
    assert seen.page.locator("#run").inner_text() == "Inspect"


def test_a_broken_scan_says_why_and_the_page_goes_on(seen):
    seen.choose_scan("broken.jpg", rows=False)
    note = seen.page.locator("#over .note")
    note.wait_for()
    assert "found <b>text</b>; expected a JPEG" in note.inner_text()
    seen.choose_scan("door.jpg")
    assert note.count() == 0
    assert seen.rows() > 0


def test_the_slider_thresholds_again_without_inspecting_again(door):
    before, asked = door.rows(), []
    door.page.on("request", lambda request: asked.append(request.url))
    text = door.page.locator("#measured").inner_text()
    with door.page.expect_response(lambda answer: "threshold=0.9" in answer.url and "damage" in answer.url):
        door.page.locator("#threshold").fill("0.9")
    door.until(f"document.querySelectorAll('#defects tbody tr').length !== {before}")
    assert door.page.locator("#threshold-text").inner_text() == "0.90"
    assert door.page.locator("#measured").inner_text() != text
    assert "85 %" in door.page.locator("#measured").inner_text()
    assert not any("/api/run" in url for url in asked)
    door.saved()
    door.page.reload()
    door.page.wait_for_selector("#defects tbody tr")
    assert door.page.locator("#threshold").input_value() == "0.9", "the choice is saved"
    door.page.click("#threshold-default")
    door.until(f"document.querySelectorAll('#defects tbody tr').length === {before}")


@pytest.mark.parametrize("by", ["score", "length", "width", "area"])
def test_the_table_is_sorted_by_what_is_pressed(door, by):
    column = ["decision", "kind", "score", "length", "width", "area"].index(by) + 1
    if by != "score":
        door.page.click(f"#sort-{by}")

    def values() -> list[float]:
        return [
            float(text.replace(",", ""))
            for text in door.page.locator(f"#defects tbody td:nth-child({column})").all_inner_texts()
        ]

    head = door.page.locator(f"#defects th.{by}")
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    door.page.click(f"#sort-{by}")
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())


def test_a_row_that_is_clicked_is_flown_to(door, workspace):
    row = door.page.locator("#defects tbody tr").nth(2)
    row.click()
    door.settle()
    assert row.get_attribute("aria-selected") == "true"
    outline = next(found for found in workspace.found("door.jpg") if found.id == row.get_attribute("data-id"))
    x, y = np.mean(outline.polygon, axis=0)
    shown = door.on_screen(x, y)
    box = door.page.locator("#map-main").bounding_box()
    assert abs(shown[0] - (box["x"] + box["width"] / 2)) < box["width"] / 4
    assert abs(shown[1] - (box["y"] + box["height"] / 2)) < box["height"] / 4


def test_an_outline_that_is_clicked_is_chosen_in_the_table(door, workspace):
    outline = max(workspace.found("door.jpg"), key=lambda found: found.area_px)
    from shapely.geometry import Polygon

    inside = Polygon(outline.polygon).representative_point()
    door.page.mouse.click(*door.on_screen(inside.x, inside.y))
    door.until("inspect.state.chosen !== null")
    assert door.state("chosen") == outline.id
    assert door.page.locator("#defects tr[aria-selected=true]").get_attribute("data-id") == outline.id


def test_side_by_side_both_move_together(door):
    door.page.click("#beside")
    door.until("inspect.maps.bare.getSize().x > 100")
    door.page.keyboard.press("+")
    door.page.keyboard.press("Shift+ArrowRight")
    door.page.wait_for_timeout(600)
    where = [
        door.page.evaluate(
            f"(() => {{ const m = inspect.maps.{one}, c = m.getCenter(); return [m.getZoom(), c.lat, c.lng]; }})()"
        )
        for one in ("main", "bare")
    ]
    assert where[0] == pytest.approx(where[1], abs=0.02)
    assert door.page.locator("#map-bare path.leaflet-interactive").count() == 0
    door.page.click("#beside")


def test_dark_and_light_follow_the_system_and_the_switch(chromium, workspace):
    def ground(found: Watched) -> str:
        return str(found.page.evaluate("getComputedStyle(document.querySelector('.head')).backgroundColor"))

    with watched(chromium, workspace, theme="dark") as found:
        found.open()
        dark = ground(found)
        found.page.click("#theme")
        light = ground(found)
        found.page.reload()
        found.page.wait_for_selector(".scan")
        assert ground(found) == light, "the choice is kept"
        assert sum(map(int, dark[4:-1].split(","))) < 150 < 600 < sum(map(int, light[4:-1].split(",")))
        found.check()


def test_with_a_token_the_page_opens_once_it_is_typed_in(chromium, workspace):
    with watched(chromium, workspace, token="let me in") as found:
        found.page.goto(found.url)
        found.page.fill("#token", "me too")
        found.page.click("button")
        assert "not the token" in found.page.locator("[role=alert]").inner_text()
        found.page.fill("#token", "let me in")
        found.page.keyboard.press("Enter")
        found.page.wait_for_selector(".scan")
        found.choose_scan("door.jpg")
        found.check(forgive="401")


@pytest.mark.parametrize("width", [1440, 768, 360])
def test_nothing_is_cut_off_at_any_width(chromium, workspace, width):
    with watched(chromium, workspace, width=width) as found:
        found.open("door.jpg")
        for view in ("scans", "picture", "defects"):
            tab = found.page.locator(f"[data-tab={view}]")
            if tab.is_visible():
                tab.click()
            assert not found.scrolls_sideways(), view
            cut = found.page.evaluate(
                "() => [...document.querySelectorAll('button, select, input[type=range], "
                "input[type=search]')].filter((e) => e.offsetParent)"
                ".map((e) => [e.id || e.className, e.getBoundingClientRect()]).filter(([, b]) => b.left < -1 || "
                "b.right > innerWidth + 1).map(([n]) => n)"
            )
            assert cut == [], view
        if width == 360:
            small = found.page.evaluate(
                "() => [...document.querySelectorAll('.button, .tab')].filter((e) => e.offsetParent && "
                "!e.matches('.link'))"
                ".filter((e) => e.getBoundingClientRect().height < 40).map((e) => e.id || e.className)"
            )
            assert small == [], "large enough for a finger"
            found.page.locator("#defects tbody tr").first.click()
            assert found.page.locator("#page").get_attribute("data-view") == "picture"
            assert found.page.locator("[data-act=accept]").is_visible()
        found.check()
