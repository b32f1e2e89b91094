"""Headless Chromium, told what to do over a pipe (the DevTools protocol): no driver is needed."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 180.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)

PHONE = 390
"""Pixels across."""
DRAWN = "[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))"
PLACE_OF_THE_VIEW = """
(() => {
  const plot = document.querySelector('.plot:has(canvas)');
  plot.scrollIntoView({block: 'center', behavior: 'instant'});
  const box = plot.getBoundingClientRect();
  return [box.left, box.top, box.width, box.height].map(Math.round);
})()
"""


def chromium() -> str | None:
    """Chromium's or Chrome's program, where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page at a time."""

    def __init__(self, program: str) -> None:
        self.complaints: list[str] = []
        """Errors of scripts, of the console and of loading; warnings are not among them."""
        self.requests: list[str] = []
        """Every address that the page asked for."""
        self._folder = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        def wire() -> None:  # the protocol's own file descriptors: 3 to read, 4 to write
            # Copies first: 3 and 4 may be among the four ends of the pipes.
            for number, end in zip((3, 4), [os.dup(to_browser), os.dup(from_browser)], strict=True):
                os.dup2(end, number)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"],
            close_fds=False,
            preexec_fn=wire,  # noqa: PLW1509 - it only calls dup, which is safe in a thread
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        os.set_blocking(self._read, False)
        self._buffer, self._last, self._session = b"", 0, ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and wait for its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer)
                return answer["result"]
        raise TimeoutError(f"{method} was not answered in {TIMEOUT_S} s")

    def open(self, page: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a file in a window of so many pixels; one as narrow as a phone has touch."""
        phone = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.complaints, self.requests = [], []
        self.send("Page.navigate", url=page.resolve().as_uri())
        self.wait_for("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What a script gives, as JSON values; a promise is waited for."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Until a script gives something true."""
        self._until(lambda: bool(self.value(script)), script)

    def drag(self, start: tuple[float, float], by: tuple[float, float], *, touch: bool) -> None:
        """Press at a point of the window, move in steps, let go."""
        points = [(start[0] + by[0] * k / 8, start[1] + by[1] * k / 8) for k in range(9)]
        if touch:
            for kind, (x, y) in zip(["touchStart", *["touchMove"] * 8], points, strict=True):
                self.send("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
            self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            return
        kinds = ["mousePressed", *["mouseMoved"] * 8]
        for kind, (x, y) in [*zip(kinds, points, strict=True), ("mouseReleased", points[-1])]:
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                clickCount=1,
                buttons=1,
            )

    def screenshot(self, *, whole: bool = False) -> np.ndarray:
        """The window, or the whole page: [H, W, 3] uint8 RGB."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        image = cv2.imdecode(np.frombuffer(base64.b64decode(shot), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return image[..., ::-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        os.close(self._read)
        os.close(self._write)
        self._folder.cleanup()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so after {TIMEOUT_S} s: {what}")
            time.sleep(0.05)

    def _receive(self) -> dict[str, Any]:
        """The next message; {} where there is none yet. Events are noted on the way."""
        while b"\0" not in self._buffer:
            try:
                part = os.read(self._read, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
                return {}
            assert part, "the browser ended"
            self._buffer += part
        raw, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(raw)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.complaints.append(f"console: {params['args']}")
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"log: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


def view_of(browser: Browser) -> tuple[np.ndarray, tuple[float, float]]:
    """The 3D view as it is on the screen, and its middle in the window."""
    left, top, width, height = browser.value(PLACE_OF_THE_VIEW)
    shot = browser.screenshot()[max(top, 0) : top + height, left : left + width]
    return shot, (left + width / 2, top + height / 2)


def share_unlike(image: np.ndarray, other: np.ndarray) -> float:
    """Share of pixels that differ by more than noise."""
    return float((np.abs(image.astype(int) - other.astype(int)).max(axis=-1) > 24).mean())


def check_loaded(browser: Browser, path: Path) -> None:
    """No error, nothing fetched, no sideways scrolling, charts and the 3D view drawn."""
    browser.wait_for(DRAWN)
    assert browser.complaints == []
    outside = [url for url in browser.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [path.resolve().as_uri()]
    widths = browser.value("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    shot, _ = view_of(browser)
    background = shot[2, 2]
    assert 0.05 < share_unlike(shot, np.broadcast_to(background, shot.shape)) < 0.95
