"""The playground's page in a browser: what a person does there works, and it asks nobody but its server."""

import time

import pytest
from playing import served, session_of

from tinygrad_edu.render.layout import can_lay_out


@pytest.fixture(scope="module")
def port():
    with served(session_of(num_layers=1)) as number:
        yield number


def until(tab, condition):
    """Wait for what the server's answer brings about; the rounds are counted, so that a page that fails ends."""
    for _ in range(500):
        if tab.evaluate(condition):
            return
        time.sleep(0.02)
    raise AssertionError(f"never true: {condition}")


def shows(selector, words):
    return f"document.querySelector({selector!r}).textContent.includes({words!r})"


def test_a_person_asks_switches_edits_undoes_and_looks_behind(browser, port):
    with browser.open(f"http://127.0.0.1:{port}/", height=2400) as tab:
        until(tab, "document.querySelectorAll('#rows tr').length === 20 && numbers !== null")
        rows = "[...document.querySelectorAll('#rows tr')].map((row) => row.innerText).join()"

        tab.evaluate("document.querySelector('#question').select()")
        tab.type("Max(1,6,2)")
        until(tab, shows("#answer", "Max(1,6,2) = "))
        assert tab.count(".head svg") == 2 and tab.text("#tokens").split() == list("Max ( 1 , 6 , 2 )".split())
        assert ("right" in tab.text("#verdict")) is (tab.text("#answer") == "Max(1,6,2) = 6")
        before = tab.evaluate(rows)

        tab.click('[data-head="0.1"]')
        until(tab, "document.querySelectorAll('.head.off').length === 1")
        assert tab.evaluate(rows) != before and "block 1, head 2 off" in tab.text("#chips")
        assert "The unchanged model" in tab.text("#verdict")

        tab.evaluate("document.querySelector('#name').value = 'output.bias'; showWeights()")
        until(tab, "numbers.length === 1 && numbers[0].length === 20")
        for field, text in (("#column", "9"), ("#value", "99")):
            tab.evaluate(f"document.querySelector('{field}').select()")
            tab.type(text)
        tab.click("#set")
        until(tab, shows("#answer", "= 7"))
        until(tab, "numbers[0][9] === 99")
        assert tab.text("#now") == "is 99, of “7”"
        assert "output.bias[9] = 99" in tab.text("#chips") and "wrong, it is 6" in tab.text("#verdict")

        tab.click("#swap")
        until(tab, shows("#chips", "3 ⇄ 4"))
        tab.click("#undo")
        until(tab, "document.querySelectorAll('.head.off').length === 0")
        assert tab.evaluate(rows) == before and "Nothing is changed" in tab.text("#chips")

        for button, words in (("#graph", "The graph of Max(1,6,2)"), ("#replay", "step by step, of Max(1,6,2)")):
            tab.click(button)
            until(tab, f"document.querySelector('#caption').textContent.endsWith({words!r})")
            assert tab.count("iframe[sandbox='allow-scripts']") == 1 and tab.count("#frame.stale") == 0
        tab.click('[data-head="0.0"]')
        assert "as it was: press again" in tab.text("#caption") and tab.count("#frame.stale") == 1
        tab.click('[data-head="0.0"]')
        assert tab.text("#caption").endswith("step by step, of Max(1,6,2)") and tab.count("#frame.stale") == 0

        asked = {url.removeprefix(f"http://127.0.0.1:{port}").partition("?")[0] for url in tab.requests}
        assert asked <= {"/answer", "/weights", "/graph", "/replay"} and tab.troubles == []


def test_a_wrong_question_shows_the_place_and_the_last_answer_goes_pale(browser, port):
    with browser.open(f"http://127.0.0.1:{port}/") as tab:
        until(tab, "document.querySelectorAll('#rows tr').length === 20")
        tab.evaluate("document.querySelector('#question').select()")
        tab.type("Max(1,13,<b>)")
        until(tab, shows("#problem p", "13 is too large"))
        assert tab.text("#problem pre") == "Max(1,13,<b>)\n      ^" and tab.count(".stale") == 2
        assert tab.evaluate("document.querySelector('#question').getAttribute('aria-invalid')") == "true"
        tab.evaluate("document.querySelector('#question').select()")
        tab.type("Min(1,6,2)")
        until(tab, shows("#answer", "Min(1,6,2) = "))
        assert tab.count(".stale") == 0 and tab.troubles == []


@pytest.mark.skipif(not can_lay_out(), reason="no Graphviz here")
@pytest.mark.parametrize("path", ["graph", "replay"])
def test_what_stands_in_the_frame_runs_and_loads_nothing(browser, port, path):
    wish = '{"question":"Max(1,6,2)","off":[[0,1]]}'
    with browser.open(f"http://127.0.0.1:{port}/{path}?wish={wish.replace(chr(34), '%22')}") as tab:
        assert tab.count("svg .node") > 5
        assert tab.troubles == [] and tab.requests == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen_holds_the_page(browser, port, dark):
    with browser.open(f"http://127.0.0.1:{port}/", 420, 800, dark) as tab:
        until(tab, "document.querySelectorAll('#rows tr').length === 20 && numbers !== null")
        assert tab.evaluate("document.documentElement.scrollWidth") == 420
