"""A stage for pictures of the web application: a simulated provider, `imeiflow serve` as a user starts it, a browser.

Everything is made anew in a temporary home, from outside: what is seen is what a user would see.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from imeiflow.domain.imei import check_digit
from imeiflow.simulator import Behaviour, SimulatorProcess

_PASSWORD = "seven brass kettles sing"
_LINK = re.compile(r"http://\S+/invitation/\S+")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the stage, and how its provider behaves."""

    name: str
    behaviour: Behaviour


@dataclass(slots=True)
class Stage:
    """A server that runs, and a browser in which its first user is signed in."""

    base_url: str
    home: Path
    environ: dict[str, str]
    browser: Browser
    state: Any = None

    def open(self, path: str, *, width: int = 1440, height: int = 900, scheme: str = "light", scale: float = 1) -> Page:
        """Open a page in a window of its own."""
        context = self.browser.new_context(
            base_url=self.base_url,
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            storage_state=self.state,
            device_scale_factor=scale,
            timezone_id="UTC",
            locale="en-GB",
        )
        page = context.new_page()
        page.goto(path)
        return page

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run the command line in the same home."""
        done = subprocess.run([_program(), *arguments], env=self.environ, capture_output=True, text=True, check=False)
        if check and done.returncode not in {0, 3, 4}:
            raise RuntimeError(f"imeiflow {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def open_stage(accounts: list[Account]) -> Iterator[Stage]:
    """Open a stage; all of it is gone afterwards."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imeiflow-pictures-")))
        lines = []
        for one in accounts:
            sim = stack.enter_context(SimulatorProcess.start(one.behaviour))
            lines += [f"[accounts.{one.name}]", 'provider = "gsm-fusion"', f'base_url = "{sim.base_url}"']
            lines += ['username = "simulated"', 'key = "simulated-key"', ""]
        (home / "config.toml").write_text("\n".join(lines), encoding="utf-8")
        (home / "config.toml").chmod(0o600)
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "IMEIFLOW_HOME": str(home), "LANG": "C.UTF-8"}
        server = subprocess.Popen(
            [_program(), "serve", "--port", "0"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.callback(_end, server)
        link = _read_link(server)
        playwright = stack.enter_context(sync_playwright())
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        stack.callback(browser.close)
        stage = Stage(link.partition("/invitation/")[0], home, environ, browser)
        page = stage.open(link)
        page.get_by_label("Name").fill("mia")
        for field in page.locator("input[type=password]").all():
            field.fill(_PASSWORD)
        page.get_by_role("button").last.click()
        page.wait_for_url(re.compile(r"/(dashboard|sign-in)"))
        stage.state = page.context.storage_state()
        page.context.close()
        yield stage


def make_list(path: Path, count: int, *, start: int = 0, flawed: bool = False) -> Path:
    """Write a stock list; a flawed one has what such lists have: letters, digits that were lost, rows that repeat."""
    rows = ["Box,Model,IMEI,Note"]
    for number in range(count):
        imei = _make_imei(start + number)
        if flawed and number % 97 == 3:
            imei = imei[:-1]
        elif flawed and number % 131 == 7:
            imei = imei[:-1] + str((int(imei[-1]) + 3) % 10)
        elif flawed and number % 211 == 11:
            imei = "no sticker"
        elif flawed and number % 61 == 5:
            imei = _make_imei(start + number - 1)
        elif flawed and number % 53 == 9:
            imei = f"{imei[:2]}-{imei[2:8]}-{imei[8:14]}-{imei[14:]}"
        rows.append(f"B{number // 40 + 1},iPhone {11 + number % 5},{imei},")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def _make_imei(number: int) -> str:
    first14 = f"35693803{number:06}"
    return first14 + check_digit(first14)


def _program() -> str:
    return str(Path(sys.executable).parent / "imeiflow")


def _read_link(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        found = _LINK.search(line)
        if found is not None:
            return found[0]
    raise RuntimeError("the server ended before it printed its link")


def _end(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
