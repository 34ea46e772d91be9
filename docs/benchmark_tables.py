"""The tables of the comparison: methods, accuracy, speed, growth, deflectometry, machines; see make_tables.py."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]

METHODS = ("U-Net", "tile classifier", "dense tile classifier", "deflectometry")
PHOTOGRAPHS = {
    "valid/all": "validation set together",
    "valid/panels": "close-ups of paint",
    "valid/claims": "claim photos",
    "valid/cars": "whole cars",
    "valid/photos4k": "quarter panel photo, 4096 x 3072",
    "demo/photos4k": "bumper photo, 4096 x 3072",
}
RENDERED = {
    "rendered": "rendered scans",
    "rendered, fringes, dark room": "fringes, dark room",
    "rendered, fringes, lit hall": "fringes, lit hall",
    "rendered, fringes, full sun": "fringes, full sun",
}
SETS = {"rendered": "rendered panels", "real": "real pictures"}
CHANGES = {
    "crop_5": "crop of 5 %",
    "jpeg_50": "JPEG, quality 50",
    "brighter_20": "20 % brighter",
    "darker_20": "20 % darker",
    "flipped": "mirrored, upside down or both",
    "all_of_these": "all of these at once",
    "crop_10": "crop of 10 %, JPEG 75",
    "crop_20": "crop of 20 %, JPEG 75",
    "crop_30": "crop of 30 %, JPEG 75",
}
FLAGS = ("blank", "overexposed", "underexposed", "blurred")
SPOILED = {
    "as_it_is": "as it is",
    "blurred_1_px": "blurred by 1 px",
    "blurred_2_px": "blurred by 2 px",
    "blurred_3_px": "blurred by 3 px",
    "blurred_5_px": "blurred by 5 px",
    "darkened_to_a_sixth": "darkened to a sixth",
    "brightened_threefold": "brightened threefold",
}
DENTS = {part.replace("rendered", "dents"): name for part, name in RENDERED.items()}
MARKED = "clean_area_marked"
SCORES = {
    "tile AP": ("tile_average_precision", ".2f"),
    "pixel AP": ("pixel_average_precision", ".2f"),
    "clean area marked": (MARKED, ".1%"),
    "regions found": ("object_recall", ".2f"),
    "false alarms a picture": ("false_alarms_per_scan", ".1f"),
    "length recall": ("length_recall", ".2f"),
}


def tables(results: Mapping[str, Result]) -> dict[str, list[str]]:
    """Return the lines of every table whose result is there, by its name."""
    found: dict[str, list[str]] = {}
    if quality := results.get("quality"):
        found["methods"] = summary(quality)
        found["quality on photographs"] = quality_table(quality["reports"], PHOTOGRAPHS)
        found["quality on rendered scans"] = quality_table(quality["reports"], RENDERED)
        found["dents by daylight"] = quality_table(quality["reports"], DENTS, kind="dent")
    if trap := results.get("accuracy_trap"):
        found["accuracy"] = accuracy(trap)
    if speed := results.get("speed"):
        found["speed beside peers"] = speed_table(speed, ("peers", "large"))
        found["speed by option"] = speed_table(speed, ("options", "formats"))
        found["growth with the model"] = exponents_table(speed["exponents"])
    if engines := results.get("engines"):
        found["engines"] = engines_table(engines["engines"])
    if scaling := results.get("scaling"):
        found["scaling"] = scaling_table(scaling)
        found["scaling powers"] = powers_table(scaling)
    if deflectometry := results.get("deflectometry"):
        found["deflectometry"] = deflectometry_table(deflectometry["cases"])
        found["deflectometry by depth"] = depth_table(deflectometry["cases"]["shallow dents"])
    if near := results.get("near_duplicates"):
        found["near duplicates"] = near_duplicates_table(near)
    if flags := results.get("flags"):
        found["flags"] = flags_table(flags)
    if overlap := results.get("overlap"):
        found["overlap"] = overlap_table(overlap["rows"])
    if serving := results.get("serving"):
        found["serving"] = serving_table(serving)
        found["serving sizing"] = sizing_table(serving)
    if web := results.get("web"):
        found["web"] = web_table(web)
    machines = [result for name, result in results.items() if name == "speed" or name.startswith("speed-")]
    if machines:
        found["machines"] = machines_table(machines)
    return found


def lines_of(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def figure(metric: Mapping[str, Any] | None, form: str, *, interval: bool = False) -> str:
    """Return a figure, a dash for what is undefined."""
    if metric is None or metric["value"] is None or metric["value"] != metric["value"]:
        return "-"
    text = f"{metric['value']:{form}}"
    if interval and metric["interval"]:
        text += " ({}-{})".format(*(f"{end:{form}}" for end in metric["interval"]))
    return text


def engines_table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a row for each engine, the quickest first."""
    names = {"onnx": "ONNX Runtime", "openvino": "OpenVINO", "torch": "PyTorch"}
    heads = ("engine", "ms a window", "least to most", "time over ONNX Runtime", "MiB", "seconds to load", "differs by")
    cells = [
        (
            names[row["engine"]],
            f"{row['ms_per_window']:.0f}",
            "{:.0f} to {:.0f}".format(*row["ms_range"]),
            f"{row['over_onnx']:.2f}",
            f"{row['mib']:.0f}",
            f"{row['load_seconds']:.1f}",
            f"{row['largest_difference']:.0e}" if row["largest_difference"] else "-",
        )
        for row in sorted(rows, key=lambda row: row["ms_per_window"])
    ]
    return lines_of(heads, cells)


def summary(quality: Result) -> list[str]:
    """Return a column for each method, and a row for each thing that a customer asks first."""
    asked = [
        ("tiles: which are damaged? average precision", "valid/all", "damage", "tile_average_precision", ".2f"),
        ("pixels: where is it? average precision", "valid/all", "damage", "pixel_average_precision", ".2f"),
        ("clean area marked", "valid/all", "damage", MARKED, ".1%"),
        ("regions found", "valid/all", "damage", "object_recall", ".2f"),
        ("false alarms a picture", "valid/all", "damage", "false_alarms_per_scan", ".1f"),
        ("pixels of rendered scans, average precision", "rendered", "damage", "pixel_average_precision", ".2f"),
        *(
            (f"dents of rendered scans found, {light}", f"dents, fringes, {light}", "dent", "object_recall", ".2f")
            for light in ("dark room", "full sun")
        ),
    ]
    rows = []
    for label, part, kind, name, form in asked:
        cells = []
        for method in METHODS:
            seen = "dents" if part.startswith("dents") and method != "deflectometry" else part
            report = quality["reports"].get(seen, {}).get(method)
            known = {} if report is None or kind not in report["kinds"] else metrics_of(report["kinds"][kind])
            cells.append(figure(known.get(name), form))
        if any(cell != "-" for cell in cells):
            rows.append([label, *cells])
    cost = quality["cost"]
    size = "{width} x {height} px".format(**cost["U-Net"])
    rows.append([f"seconds a scan of {size}", *(f"{cost[method]['seconds']:.1f}" for method in METHODS)])
    rows.append(["MiB for it, above the model", *(f"{cost[method]['peak_mib']:.0f}" for method in METHODS)])
    return lines_of(["", *METHODS], rows)


def metrics_of(kind: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a kind, and the share of the clean pixels that reach the threshold."""
    pixels, level = kind["histograms"]["pixels"]["negatives"], max(math.ceil(255 * kind["threshold"] - 1e-9), 1)
    marked = sum(pixels[level:]) / sum(pixels) if sum(pixels) else None
    return {**kind["metrics"], MARKED: {"value": marked, "interval": None}}


def quality_table(reports: Mapping[str, Any], parts: Mapping[str, str], *, kind: str = "damage") -> list[str]:
    """Return a row for each part and method."""
    rows = []
    for part, name in parts.items():
        for method, report in reports.get(part, {}).items():
            metrics = metrics_of(report["kinds"][kind])
            cells = [figure(metrics[key], form, interval=True) for key, form in SCORES.values()]
            rows.append([f"{name} ({report['scans']})", method, *cells])
    return lines_of(["on", "method", *SCORES], rows)


def accuracy(trap: Result) -> list[str]:
    """Return accuracy and precision at a few shares of damaged tiles, of the photographs where there are some."""
    part = "valid/all" if "valid/all" in trap["rows"] else "rendered"
    methods = trap["rows"][part]
    rows = []
    for number, first in enumerate(next(iter(methods.values()))["at"]):
        cells = [f"{first['prevalence']:.1%}", f"{first['all_clean_accuracy']:.3f}"]
        for method in methods.values():
            at = method["at"][number]
            precision = "-" if at["precision"] is None else f"{at['precision']:.3f}"
            cells += [f"{at['accuracy']:.3f}", precision]
        rows.append(cells)
    heads = [f"{name}: {what}" for name in methods for what in ("accuracy", "precision")]
    return lines_of(["damaged tiles", 'accuracy of "clean" everywhere', *heads], rows)


def speed_table(speed: Result, groups: Sequence[str]) -> list[str]:
    """Return seconds and memory of the cases of some groups."""
    heads = ["scan", "what", "windows", "seconds, median", "least to most", "over the engine", "MiB above the model"]
    cases = [case for case in speed["cases"] if case["group"] in groups]
    usual = next(case for case in cases if case["method"] == "surfacedefect")
    rows = []
    for case in cases:
        low, high = case["seconds_range"]
        spread = f"{low:.1f} to {high:.1f}" if case["rounds"] > 1 else "once"
        over = f"{case['over_engine']:.2f}" if case["over_engine"] else "-"
        names = {"overlap_px": "overlap {} px", "batch": "batch {}", "threads": "{} thread", "engine": "{} engine"}
        changed = [text.format(case[key]) for key, text in names.items() if case[key] != usual[key]]
        changed += [case["format"].upper()] if case["format"] != "tif" else []
        what = ", ".join([case["method"], *changed])
        memory = f"{case['peak_mib']:.0f}" + (f" + {case['gpu_mib']:.0f} on the GPU" if case["gpu_mib"] else "")
        rows.append([case["size"], what, str(case["windows"]), f"{case['seconds']:.1f}", spread, over, memory])
    return lines_of(heads, rows)


def exponents_table(exponents: Mapping[str, Any]) -> list[str]:
    """Return the powers of the pixels that time and memory grow with, the model's work included."""
    rows = [[name, f"{one['time']:.2f}", f"{one['memory']:.2f}"] for name, one in exponents.items()]
    return lines_of(["", "time", "memory"], rows)


def scaling_table(scaling: Result) -> list[str]:
    """Return time and memory at every size, with a model that costs nothing."""
    rows = []
    for of in scaling["shapes"].values():
        maps, found = ([row for row in of["rows"] if row["call"] == call] for call in ("probability_map", "detect"))
        for plain, whole in zip(maps, found, strict=True):
            size = f"{plain['width']} x {plain['height']} ({plain['megapixels']:.0f} MP)"
            both = [
                f"{one[key]:{form}}"
                for key, form in (("seconds", ".1f"), ("peak_mib", ".0f"))
                for one in (plain, whole)
            ]
            rows.append([size, *both, str(whole["defects"])])
    heads = ["scan", "map, s", "detect, s", "map, MiB", "detect, MiB", "defects outlined"]
    return lines_of(heads, rows)


def powers_table(scaling: Result) -> list[str]:
    """Return the fitted powers of both shapes."""
    rows = []
    for shape, of in scaling["shapes"].items():
        for call, powers in of["exponents"].items():
            cells = [
                f"{powers[name]['exponent']:.2f} ({powers[name].get('without_smallest', float('nan')):.2f})"
                for name in ("time", "memory")
            ]
            rows.append([f"{shape}, `{call}`", *cells])
    return lines_of(["grows with pixels to the power of (without the smallest scan)", "time", "memory"], rows)


def deflectometry_table(cases: Mapping[str, Any]) -> list[str]:
    """Return what deflectometry finds in each light and on each sort of panel."""
    rows = []
    for name, case in cases.items():
        recall, alarms = case["recall"], case["false_alarms_per_scan"]
        ends = case["interval_95"]["recall"]
        interval = f" ({ends[0]:.2f}-{ends[1]:.2f})" if ends else ""
        refused = f", {case['refused_scans']} refused" if case["refused_scans"] else ""
        count = f"{case['scans_rendered']} ({case['dents']}{refused})"
        rows.append([name, case["what"], count, "-" if recall is None else f"{recall:.2f}{interval}", f"{alarms:.1f}"])
    return lines_of(["case", "rendered", "scans (dents)", "dents found", "false alarms a scan"], rows)


def depth_table(case: Mapping[str, Any]) -> list[str]:
    """Return how many dents of each depth are found."""
    rows = [
        ["{:g} to {:g} um".format(*row["depth_um"]), str(row["dents"]), f"{row['recall']:.2f}"]
        for row in case["by_depth_um"]
    ]
    return lines_of(["depth", "dents", "found"], rows)


def near_duplicates_table(near: Result) -> list[str]:
    """Recall of each change and what was merged wrongly, rendered and real."""
    parts = {name: near[part] for part, name in SETS.items() if part in near}
    heads = ("copy", *(f"{name}: {what}" for name in parts for what in ("recall", "merged wrongly")))
    rows = []
    for change, name in CHANGES.items():
        figures = [(f"{part['recall'][change]:.3f}", str(part["merged_wrongly"][change])) for part in parts.values()]
        rows.append((name, *(figure for pair in figures for figure in pair)))
    first = ("none (the pictures alone)",)
    alone = [("-", str(len(part["groups_of_several_cars"]))) for part in parts.values()]
    return lines_of(heads, [(*first, *(figure for pair in alone for figure in pair)), *rows])


def flags_table(flags: Result) -> list[str]:
    """Share of the pictures that get a flag, as they are and changed."""
    parts = {name: flags[part] for part, name in SETS.items() if part in flags}
    heads = ("picture", *(f"{name}: {flag}" for name in parts for flag in FLAGS))
    rows = []
    for change, name in SPOILED.items():
        figures = [f"{part['flagged'][change][flag]:.1%}" for part in parts.values() for flag in FLAGS]
        rows.append((name, *figures))
    return lines_of(heads, rows)


def overlap_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return seam error and windows at each overlap."""
    cells = [
        [f"{row['overlap_px']} px", str(row["windows"]), f"{row['mean_error']:.3f}", f"{row['flipped_share']:.1%}"]
        for row in rows
    ]
    return lines_of(["overlap", "windows", "mean error", "damage pixels that change"], cells)


def machines_table(results: Sequence[Result]) -> list[str]:
    """Return a row for each machine on which bench_speed.py was run."""
    rows = []
    for result in results:
        machine = result["machine"]
        own = [case for case in result["cases"] if case["method"] == "surfacedefect" and case["group"] == "peers"]
        case = max(own, key=lambda one: one["megapixels"])
        rate = case["megapixels"] / case["seconds"]
        rows.append(
            [
                f"{machine['processor']}, {machine['cores']} cores",
                machine.get("gpu") or "-",
                case["engine"],
                f"{case['seconds']:.1f}",
                f"{rate:.2f}",
                f"{case['over_engine']:.2f}" if case["over_engine"] else "-",
                f"{case['peak_mib']:.0f}",
                f"{machine['date']}, {machine['commit']}",
            ]
        )
    heads = [
        "processor",
        "GPU",
        "engine",
        "seconds a scan of 12 MP",
        "MP a second",
        "over the engine",
        "MiB",
        "measured",
    ]
    return lines_of(heads, rows)


def serving_table(result: Result) -> list[str]:
    """Return what the server costs over the library, and what it is like under load."""
    cheap, shipped = result["cheap"], result["shipped"]
    steady = cheap["steady"]
    grown = steady["last_minute_over_second"]
    rows = [
        ("throughput over the library in a loop, cheap predictor", f"{cheap['throughput_over_library']:.2f}"),
        ("pictures a second, cheap predictor", f"{cheap['capacity_per_second']:.1f}"),
        (
            f"at {steady['share_of_capacity']:.0%} of that: requests, errors",
            f"{steady['requests']}, {steady['errors']}",
        ),
        ("p50, p99", f"{steady['p50_seconds']:.3f} s, {steady['p99_seconds']:.3f} s"),
        ("p99 over p50", f"{steady['p99_over_p50']:.2f}"),
        ("memory of the last minute over the second's", "-" if grown is None else f"{grown:.3f}"),
    ]
    if "cpu_time_over_library" in cheap:
        rows.insert(1, ("processor time over the library's, cheap predictor", f"{cheap['cpu_time_over_library']:.2f}"))
    if shipped:
        rows.append(("throughput over the library, shipped weights", f"{shipped['throughput_over_library']:.2f}"))
    return lines_of(("8 clients, pictures of 512 to 1024 px", "measured"), rows)


def web_table(result: Result) -> list[str]:
    """Return how quick the inspector's page is."""
    opening, scan = result["opening_seconds"], result["scan"]
    rows = [
        ("first paint", f"{opening['first_paint']:.2f} s"),
        ("list of scans", f"{opening['list']:.2f} s"),
        ("scan in its colours, with all outlines", f"{opening['scan_with_outlines']:.2f} s"),
        ("new threshold: colours", f"{result['threshold_seconds']['colours']:.2f} s"),
        ("new threshold: all outlines measured anew", f"{result['threshold_seconds']['outlines']:.2f} s"),
    ]
    rows += [
        (
            f"dragged, {name}: frames a second, 95th percentile of a frame",
            f"{move['frames_per_second']:.0f}, {move['p95_frame_ms']:.0f} ms",
        )
        for name, move in result["dragging"].items()
    ]
    rows.append(("drawn by", result["renderer"]))
    return lines_of(
        (f"{scan['width']} x {scan['height']} px, {scan['polygons']} polygons, nothing kept", "measured"), rows
    )


def sizing_table(result: Result) -> list[str]:
    """Return what a server with the shipped weights needs."""
    shipped, machine = result["shipped"], result["machine"]
    if not shipped:
        return []
    memory = shipped["memory_mib"]
    rows = [
        ("machine", f"{machine['processor']}, {machine['cores']} cores"),
        ("memory when ready", f"{memory['ready']:.0f} MiB"),
        (
            f"memory after a scan of {shipped['scan']}, and at most",
            f"{memory['after_the_scan']:.0f}, {memory['peak']:.0f} MiB",
        ),
        ("seconds for that scan, through the client", f"{shipped['client_seconds_a_scan']:.1f}"),
        ("seconds for that scan, the library alone", f"{shipped['library_seconds_a_scan']:.1f}"),
        ("pictures of 512 to 640 px a second", f"{shipped['server_per_second']:.2f}"),
    ]
    return lines_of(("shipped weights", "measured"), rows)
