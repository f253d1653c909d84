"""Gradient checkers side by side: ours accepts no planted error and raises no false alarm, on anyone's functions.

What the page docs/gradient_checkers.md says of PyTorch, JAX and autograd is held to what they say.
"""

import importlib.metadata

import checkers
import checkers_page as page
import pytest
from checkers import ACCEPTS, OURS, PEERS, REJECTS, RULED_OUT
from planted_gradients import PLANTED, RIGHT

CASES = (*PLANTED, *RIGHT)
# autograd copies what it unpacks: through that pullback the planted error is none.
UNSEEN = {("hands out the same memory at every call", "ours, on autograd's")}
LARGE = 100_000  # elements, which the slow ones are not asked about again

each_of_ours = pytest.mark.parametrize("checker", OURS, ids=lambda checker: checker.name)
each_peer = pytest.mark.parametrize("checker", PEERS, ids=lambda checker: checker.name)


def size(case):
    return case.draw(page.np.random.default_rng(0)).size


@each_of_ours
@pytest.mark.parametrize("case", [case for case in PLANTED if not case.hidden], ids=lambda case: case.name)
def test_ours_accepts_no_planted_error(case, checker):
    found = set(page.answers(checker, case, draws=1 if size(case) == LARGE else 3))
    expected = ACCEPTS if (case.name, checker.name) in UNSEEN else REJECTS
    assert found == {RULED_OUT if case.writes and "JAX" in checker.name else expected}


@each_of_ours
@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_ours_raises_no_alarm_for_a_right_gradient_and_can_judge_it(case, checker):
    assert set(page.answers(checker, case, draws=3)) == {ACCEPTS}


@each_of_ours
def test_a_composition_whose_gradient_is_right_is_no_error_whatever_it_is_made_of(checker):
    for case in PLANTED:
        if case.hidden:
            assert set(page.answers(checker, case, draws=5)) == {ACCEPTS}


@each_peer
def test_every_peer_gets_the_controls_right_so_the_wrapping_is_sound(checker):
    for case in CASES:
        if case.control:
            assert set(page.answers(checker, case, draws=3)) == {ACCEPTS if case in RIGHT else REJECTS}


def test_a_peer_that_raises_anything_but_its_own_verdict_is_an_error_of_ours():
    def ask():
        raise RuntimeError("Attempting to broadcast a dimension")

    with pytest.raises(RuntimeError, match="broadcast"):
        checkers.raised(ask)


# The page


def rows():
    """{case: {checker: cell}}, as the page has them."""
    found = {}
    for line in page.PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == len(page.CHECKERS) + 1:
            found[cells[0]] = dict(zip([checker.name for checker in page.CHECKERS], cells[1:], strict=True))
    return found


def test_page_has_every_case_and_every_checker():
    names = [name for name in rows() if name not in ("", page.SUM)]
    assert names == [case.name for case in CASES]
    assert rows()[""] == {checker.name: checker.name for checker in page.CHECKERS}


def same_versions():
    text = page.PAGE.read_text(encoding="utf-8")
    return all(f"{name} {importlib.metadata.version(name)}" in text for name in ("torch", "jax", "autograd"))


@each_peer
def test_page_says_of_a_peer_what_it_says(checker):
    """Where it was one answer for all draws, and in the versions that the page names: others may have mended it."""
    if not same_versions():
        pytest.skip("other versions than those on the page: run checkers_page.py")
    words = {"**accepts**": ACCEPTS, "rejects": REJECTS, "**alarm**": REJECTS, "passes": ACCEPTS, RULED_OUT: RULED_OUT}
    told = rows()
    for case in CASES:
        cell = told[case.name][checker.name]
        if cell in words and size(case) < LARGE:
            assert set(page.answers(checker, case, draws=2)) == {words[cell]}, case.name
