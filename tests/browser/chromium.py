"""A headless Chromium, in which a page is opened as its reader would."""

from __future__ import annotations

import base64
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip
_PATIENCE = 120.0  # seconds: the machine may be busy
_OWN = ("file:", "data:", "blob:", "chrome")


def missing() -> str | None:
    """Why there can be no browser here; None where there can."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install chromium chromium-driver"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed: pip install 'sret-search[browser]'"
    return None


class Browser:
    """One window. Everything that it asked for by network is in `asked`."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = Service(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(_PATIENCE)
        self.asked: list[str] = []

    def open(self, page: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Open a page, and wait until its charts are drawn."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", size)
        self.scheme(dark=dark)
        self.errors()
        self.driver.get(page.resolve().as_uri())
        self.wait("document.documentElement.classList.contains('drawn')")

    def scheme(self, *, dark: bool) -> None:
        """Whether the reader's machine is light or dark."""
        value = "dark" if dark else "light"
        features = [{"name": "prefers-color-scheme", "value": value}]
        self.command("Emulation.setEmulatedMedia", {"features": features})

    def command(self, name: str, values: dict[str, Any]) -> Any:
        return self.driver.execute_cdp_cmd(name, values)

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def value(self, expression: str) -> Any:
        return self.run(f"return {expression}")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.value(condition):
            assert time.monotonic() < end, f"still not so: {condition}"
            time.sleep(0.1)

    def errors(self) -> list[str]:
        """What the console has said, and the policy refused, since the last look."""
        found = [str(line["message"]) for line in self.driver.get_log("browser")]
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
        return found

    @property
    def outside(self) -> list[str]:
        """Requests that left the machine."""
        self.errors()
        return [url for url in self.asked if not url.startswith(_OWN)]

    def move(self, x: float, y: float) -> None:
        """Move the pointer to a place of the window, in pixels."""
        for step in (-2, 0):
            place = {"type": "mouseMoved", "x": x + step, "y": y}
            self.command("Input.dispatchMouseEvent", place)

    def picture(self, path: Path) -> None:
        """The whole page."""
        size = self.command("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 8000)}
        shot = {"format": "png", "captureBeyondViewport": True, "clip": clip | {"scale": 1}}
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", shot)["data"]))


def skip_where_missing() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason, allow_module_level=True)
