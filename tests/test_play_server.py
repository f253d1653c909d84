"""The playground over HTTP: what nobody should send, many at once, and who is not let in."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from playing import QUESTION, sent, served, session_of
from spoiling import small_run

from transformer.cli import main
from transformer.play import Session, server, wish_of

PLAIN = {"question": QUESTION}
WEIGHT = {"kind": "weight", "name": "output.bias", "index": [0], "value": 1}
HUGE = 10**400


@pytest.fixture(scope="module")
def session():
    return session_of()


@pytest.fixture(scope="module")
def port(session):
    with served(session) as number:
        yield number


def edited(**changes):
    return PLAIN | {"edits": [WEIGHT | changes]}


# A body that is no wish: 400, 413 or 415. Bytes are sent as they are.
MALFORMED = [
    b"", b" ", b"{", b"[]", b"null", b"true", b"0", b'"text"', b"NaN", b"Infinity", b"\xff\xfe", b"\0" * 99, b"{}{}",
    b"[" * 60_000, b'{"question":' * 5_000, b'{"question": NaN}', b"9" * 60_000, b"'Max(1,6,2)'", b"<script>", b"{'a'}",
    b'{"edits": [' + b"[" * 30_000, b"x" * 70_000, b'{"question": "' + b"a" * 200_000 + b'"}',
    "Max(１,6)".encode("utf-16"), b'{"question": "Max(1,6,2)", "question": "Min(1,6,2)"}',
    {"question": None}, {"question": 1}, {"question": ["Max(1,6,2)"]}, {"question": {"a": 1}}, {"question": True},
    {"path": "../../etc/passwd"}, {"__class__": "x"}, PLAIN | {"name": "x"}, PLAIN | {"": 1}, {"QUESTION": QUESTION},
    PLAIN | {"off": None}, PLAIN | {"off": 1}, PLAIN | {"off": "0.1"}, PLAIN | {"off": [0]}, PLAIN | {"off": [[]]},
    PLAIN | {"off": [[0]]}, PLAIN | {"off": [[0, 1, 2]]}, PLAIN | {"off": [["0", "1"]]}, PLAIN | {"off": [[0, 1.0]]},
    PLAIN | {"off": [[True, False]]}, PLAIN | {"off": {"0": 1}}, PLAIN | {"off": [None]}, PLAIN | {"off": [[None, 0]]},
    PLAIN | {"edits": None}, PLAIN | {"edits": "all"}, PLAIN | {"edits": [1]}, PLAIN | {"edits": [None]},
    PLAIN | {"edits": [[]]}, PLAIN | {"edits": [{}]}, PLAIN | {"edits": [{"kind": "drop"}]},
    PLAIN | {"edits": [{"kind": ["weight"]}]}, PLAIN | {"edits": [{"kind": None}]}, PLAIN | {"edits": {"kind": "swap"}},
    edited(name=None), edited(name=["output.bias"]), edited(name=0), edited(index=None), edited(index=0),
    edited(index=["0"]), edited(index=[None]), edited(index=[0.0]), edited(index=[[0]]), edited(index=[True]),
    edited(index={"0": 0}), edited(value=None), edited(value="1"), edited(value="__import__('os')"), edited(value=[1]),
    edited(value=True), edited(value={"real": 1}), edited(extra=1),
    PLAIN | {"edits": [{"kind": "scale", "token": "5", "factor": 1}]},
    PLAIN | {"edits": [{"kind": "scale", "token": 5}]}, PLAIN | {"edits": [{"kind": "scale", "factor": 5}]},
    PLAIN | {"edits": [{"kind": "swap", "tokens": [1]}]}, PLAIN | {"edits": [{"kind": "swap", "tokens": "12"}]},
    PLAIN | {"edits": [{"kind": "swap"}]}, PLAIN | {"edits": [{"kind": "swap", "tokens": [1, 2, 3]}]},
]  # fmt: skip

# A wish that cannot be fulfilled: 200, and a problem in words.
IMPOSSIBLE = [
    {}, {"question": ""}, {"question": " " * 500}, {"question": "Max(1,6,2"}, {"question": "Max(1,6,2))"},
    {"question": "<script>alert(1)</script>"}, {"question": "../../etc/passwd"}, {"question": "Max(-1,6,2)"},
    {"question": "Max(" + "9" * 1_000 + ",1,2)"}, {"question": "(" * 2_000}, {"question": "a" * 2_001},
    {"question": "Max(1,6,2)\0"}, {"question": "Max(١,6,2)"}, {"question": "Max(²,6,2)"}, {"question": "\ud800"},
    {"question": "Max(1,6,\udfff)"}, {"question": "\u202eMax(1,6,2)"}, {"question": "Ｍax(1,6,2)"}, {"question": "🤖"},
    {"question": "Max(1,6,2);DROP TABLE"}, {"question": "{{7*7}}"}, {"question": "%s%n"}, {"question": "\r\nHost: x"},
    PLAIN | {"off": [[-1, 0]]}, PLAIN | {"off": [[0, -1]]}, PLAIN | {"off": [[2, 0]]}, PLAIN | {"off": [[0, HUGE]]},
    PLAIN | {"off": [[0, k] for k in range(200)]}, PLAIN | {"edits": [WEIGHT] * 101},
    edited(name=""), edited(name="model"), edited(name="__class__"), edited(name="../output.bias"),
    edited(name="blocks.9.norm1.weight"), edited(name="é" * 3_000), edited(name="<img src=x onerror=alert(1)>"),
    edited(name="\ud800"), edited(index=[]), edited(index=[0, 0]), edited(index=[20]), edited(index=[-1]),
    edited(index=[HUGE]), edited(index=[-HUGE]), edited(index=[0] * 5_000), edited(value=HUGE), edited(value=-HUGE),
    edited(value=1e39), edited(name="output.weight"),
    PLAIN | {"edits": [{"kind": "scale", "token": -1, "factor": 1}]},
    PLAIN | {"edits": [{"kind": "scale", "token": 20, "factor": 1}]},
    PLAIN | {"edits": [{"kind": "scale", "token": 5, "factor": HUGE}]},
    PLAIN | {"edits": [{"kind": "scale", "token": 5, "factor": 1e30}] * 3},
    PLAIN | {"edits": [{"kind": "swap", "tokens": [-1, 3]}]},
    PLAIN | {"edits": [{"kind": "swap", "tokens": [0, HUGE]}]},
    b'{"question": "Max(1,6,2)", "edits": [{"kind": "scale", "token": 5, "factor": 1e999}]}',
]  # fmt: skip

# Method, path, what comes back.
ELSEWHERE = [
    ("GET", "/answer", 405), ("PUT", "/answer", 405), ("DELETE", "/", 405), ("POST", "/", 405), ("POST", "/graph", 405),
    ("GET", "/etc/passwd", 404), ("GET", "/../../etc/passwd", 404), ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
    ("GET", "//etc/passwd", 404), ("GET", "/panel.js", 404), ("GET", "/" + "a" * 8_000, 404), ("GET", "/%00", 404),
    ("GET", "/graph", 400), ("GET", "/graph?wish=1", 400), ("GET", "/replay?wish=%7B", 400),
    ("GET", "/replay?wish=%FF", 400),
    ("POST", "/weights", 400), ("GET", "/answer/", 404), ("BREW", "/answer", 405),
]  # fmt: skip


def sane(words):
    """One of our own sentences: short, of one line, without what Python or the machine would say."""
    assert words and len(words) < 400 and "\n" not in words
    assert not re.search(r"Traceback|Error\b|File \"|/usr|/home|site-packages|<class|0x", words), words


def test_hostile_requests_each_get_a_sane_answer_and_the_next_person_theirs(session, port, caplog):
    before = session.answer(wish_of(PLAIN))
    assert len(MALFORMED) + len(IMPOSSIBLE) + len(ELSEWHERE) > 150
    for body in MALFORMED:
        status, _, found = sent(port, "POST", "/answer", body)
        assert status == (413 if len(body) > 1 << 16 else 400) and list(found) == ["error"], body
        sane(found["error"])
    for body in IMPOSSIBLE:
        status, _, found = sent(port, "POST", "/answer", body)
        assert status == 200 and set(found) in ({"problem"}, {"problem", "place", "position"}), body
        sane(found["problem"])
    for method, path, expected in ELSEWHERE:
        status, _, found = sent(port, method, path)
        assert status == expected and list(found) == ["error"], path
        sane(found["error"])
    assert sent(port, "POST", "/answer", PLAIN)[2] == before
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_an_unreadable_question_comes_back_with_a_caret_under_the_place(port):
    _, _, found = sent(port, "POST", "/answer", {"question": "Max(1,13,2)"})
    assert found["problem"].startswith("13 is too large")
    assert found["place"] == "Max(1,13,2)\n      ^" and found["position"] == 6


def test_a_picture_that_cannot_be_drawn_is_a_page_that_says_why(port):
    status, _, page = sent(port, "GET", "/graph?wish=%7B%22question%22:%22%3Cscript%3E%22%7D")
    assert status == 200 and "unexpected &#x27;&lt;&#x27; at character 1" in page and "<script>alert" not in page


def test_fifty_at_once_are_all_answered_each_rightly(session, port):
    """Every one has another change, and none sees another's."""
    wishes = [
        {"question": f"Max(1,{k % 10},2)", "off": [[k % 2, k // 2 % 2]],
         "edits": [{"kind": "weight", "name": "output.bias", "index": [k % 20], "value": k}]}
        for k in range(50)
    ]  # fmt: skip
    expected = [json.loads(json.dumps(session.answer(wish_of(wish)))) for wish in wishes]
    assert len({json.dumps(one["steps"]) for one in expected}) == 50
    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(lambda wish: sent(port, "POST", "/answer", wish), wishes))
    assert [status for status, _, _ in found] == [200] * 50
    assert [answer for _, _, answer in found] == expected


def test_only_its_own_page_may_ask(port):
    own = f"127.0.0.1:{port}"
    assert sent(port, "POST", "/answer", PLAIN, Origin=f"http://localhost:{port}", Host=f"localhost:{port}")[0] == 200
    strangers = [
        {"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Host": "127.0.0.1"}, {"Host": ""},
        {"Host": f"127.0.0.1:{port + 1}"}, {"Host": f"{own}.evil.example"}, {"Origin": "https://evil.example"},
        {"Origin": "null"}, {"Origin": f"https://{own}"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    ]  # fmt: skip
    for headers in strangers:
        for method, path in (("POST", "/answer"), ("GET", "/graph?wish=%7B%7D")):
            status, _, found = sent(port, method, path, PLAIN, **headers)
            assert status == 403 and list(found) == ["error"], headers
    assert sent(port, "POST", "/answer", PLAIN, Content_Type="text/plain")[0] == 415
    assert sent(port, "GET", "/", Sec_Fetch_Site="cross-site")[0] == 200  # a link that somebody follows


def half(port, path="/answer"):
    """A connection on which a request has begun, and does not end."""
    begun = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"{begun}Content-Length: 99\r\n\r\n{{".encode())
    return connection


def test_requests_that_never_end_keep_nobody_waiting_and_are_given_up(port, monkeypatch, caplog):
    slow = [half(port) for _ in range(60)]
    assert sent(port, "POST", "/answer", PLAIN)[0] == 200
    for connection in slow:
        connection.close()  # whoever leaves in the middle is no failure of ours
    monkeypatch.setattr(server, "PATIENCE", 0.01)
    for path in ("/answer", "/weights"):
        with half(port, path) as connection:
            assert connection.recv(99).startswith(b"HTTP/1.1 408 ")
    monkeypatch.setattr(server, "PATIENCE", 10.0)
    assert sent(port, "POST", "/answer", PLAIN)[0] == 200
    assert [record.message for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_pictures_that_are_being_drawn_do_not_hold_up_the_end_nor_fail_aloud(monkeypatch, caplog):
    drawing, drawn = threading.Event(), threading.Event()
    monkeypatch.setattr(Session, "graph", lambda *_: f"{drawing.set()}{drawn.wait()}")
    with ThreadPoolExecutor(1) as pool:
        with served(session_of(), patience=0) as port:
            asked = pool.submit(sent, port, "GET", "/graph?wish=%7B%7D")
            drawing.wait()
        drawn.set()
    status, _, found = asked.result()
    assert (status, found) == (503, {"error": "the playground has ended"})
    assert [record.message for record in caplog.records if "Exception" in record.message] == []


def test_every_answer_has_the_headers_that_protect_it(port):
    for method, path in (("GET", "/"), ("GET", "/gone"), ("POST", "/answer")):
        headers = sent(port, method, path, PLAIN)[1]
        assert headers["content-security-policy"] == "frame-ancestors 'self'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "server" not in headers
    page = sent(port, "GET", "/")[2]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "") and "https:" not in page


def test_it_cannot_be_reached_from_another_machine(port):
    """It listens on 127.0.0.1 alone: on another address of this machine nobody answers."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port))


# The command --------------------------------------------------------------------------------------


def test_play_says_where_it_is_and_ends_politely_on_ctrl_c(tmp_path):
    small_run(tmp_path / "mine")
    command = [sys.executable, "-W", "error", "-m", "transformer", "play", "--runs", str(tmp_path)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = running.stdout.readline()
    port = int(re.fullmatch(r"mine: open http://127\.0\.0\.1:(\d+)/ .*; Ctrl-C ends\n", line)[1])
    assert sent(port, "GET", "/")[0] == 200
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "\nended\n", "")


def test_without_a_run_or_a_free_port_play_says_so(tmp_path, capsys):
    assert main(["play", "--runs", str(tmp_path)]) == 2
    assert "train one first: python -m transformer train" in capsys.readouterr().err
    small_run(tmp_path / "mine")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        for port, words in ((str(number), f"port {number}: Address already in use"), ("70000", "from 0 to 65535")):
            assert main(["play", "--runs", str(tmp_path), "--port", port]) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert words in line
    assert os.listdir(tmp_path) == ["mine"]
