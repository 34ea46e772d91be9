"""The tables of the pages on batches: what was measured, what a plan comes to; see make_tables.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]


def tables(results: Mapping[str, Result]) -> dict[str, list[str]]:
    """Return the lines of every table whose result is there, by its name."""
    found: dict[str, list[str]] = {}
    if batch := results.get("batch"):
        found["batch"] = batch_table(batch)
    if fleet := results.get("fleet"):
        found["fleet measured"] = measured_table(fleet)
        found["fleet assumed"] = assumed_table(fleet["assumed"])
        found["fleet volumes"] = volumes_table(fleet)
        found["fleet night"] = night_table(fleet["night"])
    return found


def batch_table(batch: Result) -> list[str]:
    """Return what must hold beside what was measured."""
    middle, driver, first = batch["throughput"]["middle"], batch["driver"], batch["first_result"]
    small, large = driver[0], driver[-1]
    speeds = (
        ("share_of_bare_1", "speed beside one bare `Detector` loop", "0.95 or more"),
        ("share_of_bare_2", "speed beside two bare loops, two workers", "0.95 or more"),
        ("second_worker", "two workers beside one, two cores", "1 or more"),
    )
    rows = [(what, asked, f"{middle[name]:.2f}" if name in middle else "not yet") for name, what, asked in speeds]
    rows += [
        (
            f"driver's memory at {small['scans']:,} and at {large['scans']:,} scans",
            "flat",
            f"{small['peak_mib']:.0f} and {large['peak_mib']:.0f} MiB",
        ),
        (f"{large['scans']:,} recorded scans gone through", "under 10 s", f"{large['resume_seconds']:.1f} s"),
        (f"first result of a list of {first['names']:,}", "under 10 s", f"{first['seconds']:.1f} s"),
        ("load of the machine before and after", "under 0.5", f"{batch['load_before']:.1f}, {batch['load_after']:.1f}"),
    ]
    return _lines(("what", "must hold", "measured"), rows)


def measured_table(fleet: Result) -> list[str]:
    """Return what the plan stands on."""
    one = fleet["measured"]
    rows = [
        ("a scan of 12 megapixels as JPEG, two cores, s", f"{one['seconds_12mp_two_cores']:.1f}", "`speed.json`"),
        ("the same with one thread, times as long", f"{one['one_thread_over_two']:.2f}", "`speed.json`"),
        ("speed of a batch beside bare loops, at most 1", f"{one['batch_share_of_bare']:.2f}", "`batch.json`"),
        ("a scan on one core, s", f"{one['core_seconds_a_scan']:.1f}", "of these"),
    ]
    return _lines(("measured", "value", "from"), rows)


def assumed_table(assumed: Result) -> list[str]:
    """Return what the plan assumes."""
    rows = [
        ("spread of a scan's seconds (standard deviation of the logarithm)", assumed["spread"]),
        (f"share of workers that take {assumed['slow_factor']:g} times as long", assumed["slow_workers"]),
        ("workers of one machine, which fail together", assumed["workers_per_machine"]),
        ("hours between two failures of a machine", assumed["hours_between_failures"]),
        ("seconds until it works again, model loaded", assumed["restart_s"]),
        ("share of scans that cannot be decoded", assumed["corrupt_share"]),
        ("share of scans that end their process", f"{assumed['killer_share']:.5f}"),
        ("MB of a scan, kB of its results, MB of its map where it is kept",
         f"{assumed['scan_mb']:g}, {assumed['result_kb']:g}, {assumed['map_mb']:g}"),
        ("USD a core and hour, USD a GB and month", f"{assumed['core_hour_usd']:g}, {assumed['gb_month_usd']:g}"),
        ("days that scans are kept", f"{assumed['keep_days']:g}"),
        ("95 % of the scans done within minutes", f"{assumed['minutes_95']:g}"),
    ]  # fmt: skip
    return _lines(("assumed", "value"), [(what, str(value)) for what, value in rows])


def volumes_table(fleet: Result) -> list[str]:
    """Return one column a volume."""
    volumes = fleet["volumes"]
    rows = {
        "cells of a million scans a day": ("cells", ",.0f"),
        "workers of one core, were all always busy": ("workers_at_full_load", ",.0f"),
        "workers for the answer in time at the peak": ("workers", ",.0f"),
        "machines": ("machines", ",.0f"),
        "core hours a day": ("core_hours_a_day", ",.0f"),
        "USD a day, paid by use": ("usd_a_day_on_demand", ",.0f"),
        "USD a day, always on": ("usd_a_day_always_on", ",.0f"),
        "network in, Gbit/s: mean": ("network_in_gbit_s_mean", ",.1f"),
        "network in, Gbit/s: peak hour": ("network_in_gbit_s_peak", ",.1f"),
        "scans kept, TB": ("scans_kept_tb", ",.0f"),
        "USD a month for that": ("usd_a_month_scans_kept", ",.0f"),
        "GeoJSON and table, GB a day": ("results_gb_a_day", ",.0f"),
        "maps, where they are kept, TB a day": ("maps_tb_a_day", ",.0f"),
        "failures of machines a day": ("machine_failures_a_day", ",.0f"),
        "scans set aside a day": ("scans_set_aside_a_day", ",.0f"),
    }
    heads = ("scans a day", *(f"{volume['scans_a_day'] / 1e6:,.0f} million" for volume in volumes))
    return _lines(heads, [(what, *(f"{one[name]:{form}}" for one in volumes)) for what, (name, form) in rows.items()])


def night_table(night: list[Result]) -> list[str]:
    """Return one row a case."""
    rows = [
        (
            one["case"],
            f"{one['workers']:,}",
            f"{one['hours']:.2f}",
            f"{one['over_ideal']:.3f}",
            f"{one['inspections_lost']:,}",
            f"{100 * one['work_lost_share']:.2f} %",
        )
        for one in night
    ]
    heads = ("with", "workers", "hours", "over an even share", "inspections lost", "work lost")
    return _lines(heads, rows)


def _lines(heads: tuple[str, ...], rows: list[Any]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
