"""Whatever the strata are, no split gets a unit once it has its share, and the order of the units has no say."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from surfacedefect.datasets._stratify import EVERY, Stratum, assign

SPLITS = ("train", "valid", "test")
Counts = dict[Stratum, int]


@st.composite
def strata_counts(draw: Any) -> Counts:
    """A unit of up to five pictures, some of them of each of four strata."""
    pictures = draw(st.integers(1, 5))
    return {EVERY: pictures} | {("kind", name): draw(st.integers(0, pictures)) for name in "abcd"}


some_units = st.lists(strata_counts(), min_size=1, max_size=40).map(
    lambda found: {f"unit {number}": counts for number, counts in enumerate(found)}
)
some_given = st.dictionaries(st.sampled_from(SPLITS), strata_counts())
some_shares = st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0.2, 0.0), (1 / 3, 1 / 3, 1 / 3), (1.0, 0.0, 0.0)])


@given(some_units, some_given, some_shares, st.integers(0, 3))
def test_shares_are_kept_within_one_unit(
    units: dict[str, Counts], given: dict[str, Counts], shares: tuple[float, ...], seed: int
) -> None:
    asked = dict(zip(SPLITS, shares, strict=True))
    found = assign(units, given=given, shares=asked, seed=seed)
    assert found.keys() == units.keys()
    assert found == assign(dict(reversed(units.items())), given=given, shares=asked, seed=seed)
    total = sum(counts[EVERY] for counts in (*units.values(), *given.values()))
    biggest = max(counts[EVERY] for counts in units.values())
    for name, share in asked.items():
        new = sum(counts[EVERY] for key, counts in units.items() if found[key] == name)
        if new:
            assert given.get(name, {}).get(EVERY, 0) + new < share * total + biggest


def test_a_rare_stratum_is_spread_first() -> None:
    rare: Counts = {EVERY: 1, ("kind", "dent"): 1}
    units = {f"{number:03}": rare if number < 10 else {EVERY: 1} for number in range(100)}
    shares = {"train": 0.6, "valid": 0.2, "test": 0.2}
    found = assign(units, given={}, shares=shares, seed=0)
    dents = [found[key] for key, counts in units.items() if len(counts) == 2]
    assert [dents.count(name) for name in SPLITS] == [6, 2, 2]
    assert [list(found.values()).count(name) for name in SPLITS] == [60, 20, 20]
    # What was given earlier counts: valid has all the dents of its share, and more.
    found = assign(units, given={"valid": {EVERY: 10, ("kind", "dent"): 5}}, shares=shares, seed=0)
    assert "valid" not in {found[key] for key, counts in units.items() if len(counts) == 2}


def test_the_order_is_of_the_seed_and_the_key() -> None:
    units = {f"{number}": {EVERY: 1 + number % 3} for number in range(30)}
    shares = {"train": 0.5, "test": 0.5}
    results = [assign(units, given={}, shares=shares, seed=seed) for seed in range(4)]
    assert len({tuple(found[key] for key in units) for found in results}) == 4
