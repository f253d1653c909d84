"""A headless Chromium for tests, driven through its debugging pipe: no driver to install, no port, no package.

    def test_the_page_opens(browser):
        with browser.open(page_file) as tab:
            tab.click("#next")
            assert tab.text("#step") == "2"
            assert tab.troubles == [] and tab.requests == []

A tab keeps what the page wrote to the console or threw, and every address it asked for beside its own file.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-dev-shm-usage",
    "--disable-features=Translate,MediaRouter,OptimizationHints", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


def chromium() -> str | None:
    """The program, if one is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One process for all tests; each page gets a tab, and a window size, of its own."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self.write = os.pipe()  # Chromium reads from 3 and writes to 4
        self.read, answers = os.pipe()
        start = f'exec "$@" 3<&{commands} 4>&{answers}'
        program = [chromium(), *FLAGS, f"--user-data-dir={self.folder.name}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", start, "bash", *program],
            pass_fds=(commands, answers), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self.numbers = itertools.count(1)
        self.left = b""
        self.tabs: dict[str, Tab] = {}

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict:
        """One command of the DevTools protocol, and its answer; events on the way go to their tabs."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.hear(answer)

    def receive(self) -> dict:
        while b"\0" not in self.left:
            more = os.read(self.read, 1 << 16)
            if not more:
                raise RuntimeError("Chromium ended")
            self.left += more
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def hear(self, event: dict) -> None:
        tab = self.tabs.get(event.get("sessionId", ""))
        if tab is not None:
            tab.hear(event["method"], event["params"])

    def open(self, page: Path | str, width: int = 1200, height: int = 800, dark: bool = False) -> "Tab":
        """A tab in which a file has been loaded, from file://, or a page from a server at its http://."""
        url = page if isinstance(page, str) else Path(page).resolve().as_uri()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self.tabs[session] = Tab(self, target, session, url)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        tab.call("Emulation.setEmulatedMedia", features=scheme)
        tab.call("Page.navigate", url=tab.url)
        while not tab.loaded:
            self.hear(self.receive())
        return tab

    def close(self) -> None:
        try:
            self.call("Browser.close")
        except (RuntimeError, OSError):
            self.process.kill()
        self.process.wait()
        os.close(self.write)
        os.close(self.read)
        self.folder.cleanup()


class Tab:
    """troubles: console errors and warnings, exceptions, refusals of the page's policy. requests: addresses asked."""

    def __init__(self, browser: Browser, target: str, session: str, url: str) -> None:
        self.browser, self.target, self.session, self.url = browser, target, session, url
        self.loaded = False
        self.troubles: list[str] = []
        self.requests: list[str] = []

    def hear(self, method: str, about: dict) -> None:
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.troubles.append(" ".join(str(each.get("value", each)) for each in about["args"]))
        elif method == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.troubles.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent" and about["request"]["url"] != self.url:
            self.requests.append(about["request"]["url"])

    def call(self, method: str, **parameters: object) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, script: str):
        """What a JavaScript expression gives, as plain data; raises if it throws."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The words that an element shows."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def count(self, selector: str) -> int:
        return self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector: str) -> None:
        """A real click in the middle of the element, where a reader would click: it must be in sight."""
        place = self.evaluate(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            "return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1],
                button="none" if kind == "mouseMoved" else "left", clickCount=1,
            )  # fmt: skip

    def press(self, key: str) -> None:
        """A key by its name in JavaScript: "ArrowRight", "Enter", "/", "a"."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.tabs[self.session]

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
