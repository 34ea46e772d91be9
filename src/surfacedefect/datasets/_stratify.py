"""Units to splits, so that each split gets its share of the pictures and of each stratum.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD
2011): the rarest stratum first, each of its units to the split that lacks most of it. Here an example is a unit of
several pictures, what was given earlier counts, and a split that has its share of pictures gets no more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

Stratum = tuple[Hashable, ...]
EVERY: Stratum = ("picture",)
"""The stratum of all pictures; every unit has it."""
_DIGITS = 6  # beyond which two needs are the same, as shares are no binary fractions


def assign(
    units: Mapping[str, Mapping[Stratum, int]],
    *,
    given: Mapping[str, Mapping[Stratum, int]],
    shares: Mapping[str, float],
    seed: int,
) -> dict[str, str]:
    """Return a split for each unit.

    Parameters
    ----------
    units
        Key of a unit -> how many of its pictures are of each stratum, `EVERY` among them.
    given
        Split -> how many pictures of each stratum it has already.
    shares
        Split -> share of all pictures, those that were given too; they sum to 1.
    seed
        Another seed orders the units in another way.

    Examples
    --------
    >>> found = assign({key: {EVERY: 1} for key in "abcd"}, given={}, shares={"train": 0.75, "test": 0.25}, seed=0)
    >>> sorted(found.values())
    ['test', 'train', 'train', 'train']
    """
    total: Counter[Stratum] = Counter()
    for counts in (*units.values(), *given.values()):
        total.update(counts)
    need = {
        split: {stratum: share * count - given.get(split, {}).get(stratum, 0) for stratum, count in total.items()}
        for split, share in shares.items()
    }
    left: Counter[Stratum] = Counter()
    members: dict[Stratum, list[str]] = {}
    for key in sorted(units, key=lambda key: _order(seed, key)):
        left.update(units[key])
        for stratum, count in units[key].items():
            if count:
                members.setdefault(stratum, []).append(key)
    found: dict[str, str] = {}
    while members:
        stratum = min(members, key=lambda s: (left[s], s == EVERY, repr(s)))
        for key in members.pop(stratum):
            if key in found:
                continue
            found[key] = split = _neediest(need, stratum, key=key, seed=seed)
            for other, count in units[key].items():
                need[split][other] -= count
                left[other] -= count
    return found


def _neediest(need: Mapping[str, Mapping[Stratum, float]], stratum: Stratum, *, key: str, seed: int) -> str:
    """Return the split that lacks most of a stratum; of equal ones the one that lacks most pictures, then by lot."""
    # The needs sum to what is left, so that some split lacks pictures for as long as any are left.
    lacking = [split for split, strata in need.items() if round(strata[EVERY], _DIGITS) > 0]
    return max(
        lacking,
        key=lambda split: (
            round(need[split][stratum], _DIGITS),
            round(need[split][EVERY], _DIGITS),
            _order(seed, f"{key} {split}"),
        ),
    )


def _order(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()


def strata_of(pictures: Sequence[Sequence[Stratum]]) -> dict[Stratum, int]:
    """Count the strata of the pictures of a unit, `EVERY` too."""
    return dict(Counter([EVERY] * len(pictures) + [stratum for strata in pictures for stratum in strata]))
