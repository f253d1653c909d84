"""The page of subgradients: what it says of ours is true, and what it says of the peers is what they say."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import subgradients_page as page
from subgradients_cases import SECTIONS, Case

CASES = [case for cases in SECTIONS.values() for case in cases]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} at {page.shown(case.arrays)}")


def both_sides(case):
    with np.errstate(all="ignore"):
        return [page.one_sided(case.f, case.arrays, page.weights_of(case), side) for side in (-1.0, 1.0)]


@each_case
def test_our_slope_lies_between_the_one_sided_ones_unless_the_page_says_why(case):
    for low, high, ours in zip(*both_sides(case), page.slopes_of(page.ours(), case), strict=True):
        known = np.isfinite(low) & np.isfinite(high)
        between = (np.minimum(low, high) - 1e-5 <= ours) & (ours <= np.maximum(low, high) + 1e-5)
        assert np.all(between | ~known) or case.note, (low, high, ours)


def test_differences_from_each_side_find_the_slopes_known():
    sides = {
        "absolute": (lambda np, x: np.absolute(x), 0.0, -1.0, 1.0), "square": (lambda np, x: x * x, 3.0, 6.0, 6.0),
        "root": (lambda np, x: np.sqrt(x), 0.0, np.nan, np.inf), "log": (lambda np, x: np.log(x), 0.0, np.nan, np.inf),
        "entropy": (lambda np, x: np.where(x == 0, 0.0, x * np.log(x)), 0.0, np.nan, -np.inf),
        "step": (lambda np, x: np.floor(x), 2.0, np.inf, 0.0),
    }  # fmt: skip
    for f, x, below, above in sides.values():
        found = [side[0].item() for side in both_sides(Case("", f, x))]
        assert found == pytest.approx([below, above], rel=1e-6, abs=1e-6, nan_ok=True)


def fake(slope):
    """A peer whose slopes all are `slope`; a slope that is an exception is raised."""

    def slopes(f, arrays, weights):
        if isinstance(slope, Exception):
            raise slope
        return [np.full(np.shape(a), slope) for a in arrays]

    return page.Peer(page.ours().names, slopes)


def missing():
    raise ImportError("no such module")


def test_a_peer_that_differs_is_bold_and_one_that_is_missing_is_said_to_be(monkeypatch):
    peers = {
        "Same": lambda: fake(0.0), "Other": lambda: fake(1.0), "None": lambda: fake(page.Absent("relu")),
        "Broken": lambda: fake(NotImplementedError()), "Missing": missing,
    }  # fmt: skip
    monkeypatch.setattr(page, "PEERS", peers)
    monkeypatch.setattr(page, "versions", lambda peers: "")
    monkeypatch.setattr(page, "SECTIONS", {"Kinks": CASES[:1]})
    text = page.page()
    assert "| `relu(x)` | 0 | 0 … 1 | 0 | 0 | **1** | – | *error* | not installed |" in text
    assert "Same says the same in 1 of the 1 places" in text and "Other says the same in 0 of the 1" in text
    assert "Broken says" not in text and "Missing says" not in text


def test_page_has_a_row_for_every_place(monkeypatch):
    monkeypatch.setattr(page, "PEERS", dict.fromkeys(page.PEERS, missing))
    rows = [line for line in page.page().splitlines() if line.startswith("| `")]
    assert len(rows) == len(CASES) > 60
    assert all(row.count(" | ") == 7 and row.count("not installed") == 4 for row in rows)
