"""What the web application takes: previews of long lists, a job of a million orders, hundreds of open pages.

`imeiflow serve` runs as a user starts it, in a process of its own; it is asked over HTTP, as browsers ask.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from openpyxl import Workbook

from benchmarks.export import fill_ledger
from benchmarks.rig import make_imei
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role
from imeiflow.ledger.identity import User
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.identity import accept_invitation, invite_user, open_web_session
from imeiflow.operations.session import Session
from imeiflow.simulator import Behaviour, SimulatorProcess

_URL = re.compile(r"http://[0-9.]+:\d+")
_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE_S = 120.0
_SETTLED_S = 5.0  #: a server counts its newest jobs when it starts


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and what is needed to be somebody there."""

    base_url: str
    environ: dict[str, str]
    pid: int

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open the server's ledger beside it."""
        with Session.open(load_configuration(self.environ, Path(self.environ["IMEIFLOW_HOME"]))) as session:
            yield session

    def sign_in(self, name: str) -> dict[str, str]:
        """Make an administrator, and give the cookie of a session."""
        with self.session() as session:
            secret = invite_user(session, role=Role.ADMIN, actor="a benchmark")
            user: User = accept_invitation(session, secret, name=name, password="seven brass kettles sing")
            return {"imeiflow": open_web_session(session, user, address="127.0.0.1", agent="a benchmark").secret}

    def cpu_s(self) -> float:
        """Give the processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def serve(home: Path, sim: SimulatorProcess, *, cores: str | None = None) -> Iterator[Served]:
    """Serve a home before a simulated provider; `cores`: on these alone, as taskset names them."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "IMEIFLOW_HOME": str(home),
        "GSM_FUSION_BASE_URL": sim.base_url,
        "GSM_FUSION_USERNAME": sim.username,
        "GSM_FUSION_API_KEY": sim.api_key,
    }
    command = [str(Path(sys.executable).parent / "imeiflow"), "serve", "--port", "0"]
    command = command if cores is None else ["taskset", "-c", cores, *command]
    child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert child.stdout is not None
        url = next(found[0] for line in child.stdout if (found := _URL.search(line)))
        yield Served(url, environ, child.pid)
    finally:
        _end(child)


def measure_preview(served: Served, path: Path) -> tuple[float, int]:
    """Upload a list, and give the seconds until its preview is there, and how many steps of progress were seen."""
    with closing(_browse(served, served.sign_in(f"p{path.stem}"))) as browser:
        page = browser.get("/jobs/new").text
        account, service = "gsm-fusion", "1"
        token = re.search(r'"x-csrf-token": "([^"]+)"', page)
        assert token is not None
        browser.headers["x-csrf-token"] = token[1]
        began_at = time.perf_counter()
        query = {"service": service, "account": account, "name": path.name}
        with path.open("rb") as file:
            place = browser.post("/jobs/new/upload", params=query, content=file.read()).json()["location"]
        steps = set[str]()
        while True:
            shown = browser.get(place).text
            rows = re.search(r"([\d,]+) rows? so far", shown)
            if rows is None:
                break
            steps.add(rows[1])
            time.sleep(0.02 if len(steps) < 5 else 0.1)
        taken = time.perf_counter() - began_at
        assert "to order" in shown, shown[-600:]
        browser.post(f"{place}/discard")
        return taken, len(steps)


def measure_million(served: Served, job: JobId) -> dict[str, float]:
    """Give the milliseconds that each part of a job's page takes, first as a new server answers, then again."""
    parts = {
        "the page": f"/jobs/{job}",
        "its orders": f"/jobs/{job}/orders",
        "its refused orders": f"/jobs/{job}/orders?state=refused",
        "its reasons": f"/jobs/{job}/reasons",
        "its chart": f"/jobs/{job}/chart.json",
    }
    taken = {}
    with closing(_browse(served, served.sign_in("mia"))) as browser:
        browser.get("/jobs/new")  # the first page of a server reads its templates
        time.sleep(_SETTLED_S)
        for turn in ("first", "again"):
            for name, path in parts.items():
                began_at = time.perf_counter()
                answer = browser.get(path)
                taken[f"{name}, {turn}"] = (time.perf_counter() - began_at) * 1000
                assert answer.status_code == 200, (path, answer.status_code)
    return taken


@dataclass(slots=True)
class Crowd:
    """Open pages of one job that fetch what they show when they hear that it has changed, as browsers do."""

    served: Served
    job: JobId
    viewers: int
    heard_at: list[float] = field(default_factory=list)  #: since the last `mark`, one for each page
    is_marked: bool = False
    all_heard: asyncio.Event = field(default_factory=asyncio.Event)
    fetched_s: list[float] = field(default_factory=list)

    async def look(self, client: httpx.AsyncClient, cookies: dict[str, str], ready: asyncio.Semaphore) -> None:
        """Keep one page open."""
        parts = urlsplit(self.served.base_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        path = f"/live?topic=job-{self.job}&topic=jobs"
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncookie: {cookie}\r\n\r\n".encode())
        ready.release()
        has_heard, slow_s, slow_at, kind = False, 3.0, 0.0, b""
        drawing: asyncio.Task[None] | None = None
        try:
            while line := await reader.readline():
                if line.startswith(b"event:"):
                    kind = line.split()[1]
                elif line.startswith(b"data:") and kind == b"pace":
                    slow_s = max(3.0, 5 * int(line.split()[1]) / 1000)
                elif line.startswith(b"data:"):
                    if self.is_marked and not has_heard:
                        self.heard_at.append(time.perf_counter())
                        has_heard = True
                        if len(self.heard_at) == self.viewers:
                            self.all_heard.set()
                    if drawing is None or drawing.done():
                        is_slow = time.monotonic() - slow_at >= slow_s
                        slow_at = time.monotonic() if is_slow else slow_at
                        drawing = asyncio.create_task(self._draw(client, cookies, is_slow=is_slow))
        finally:
            writer.close()
            if drawing is not None:
                drawing.cancel()

    async def _draw(self, client: httpx.AsyncClient, cookies: dict[str, str], *, is_slow: bool) -> None:
        """Fetch what a page shows; what costs more only now and then."""
        paths = [f"/jobs/{self.job}"]
        if is_slow:
            paths += [f"/jobs/{self.job}/{one}" for one in ("reasons", "orders", "chart.json")] + ["/unconfirmed/badge"]
        for one in paths:
            began_at = time.perf_counter()
            answer = await client.get(one, headers={"cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
            assert answer.status_code == 200, answer.status_code
            self.fetched_s.append(time.perf_counter() - began_at)


def measure_crowd(served: Served, viewers: int, seconds: float) -> dict[str, float]:
    """Let so many pages of a running job be open; give the share of a core, and how late a change is heard of."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    cookies = [served.sign_in(f"viewer{number}") for number in range(viewers // 60 + 1)]
    with served.session() as session:
        job = session.ledger.list_jobs(JobState.RUNNING)[0].id
    return asyncio.run(_gather_crowd(served, job, cookies, viewers, seconds))


async def _gather_crowd(
    served: Served, job: JobId, cookies: list[dict[str, str]], viewers: int, seconds: float
) -> dict[str, float]:
    crowd, ready = Crowd(served, job, viewers), asyncio.Semaphore(0)
    limits = httpx.Limits(max_connections=400, max_keepalive_connections=400)
    headers = {"hx-request": "true"}
    client = httpx.AsyncClient(base_url=served.base_url, headers=headers, limits=limits, timeout=_PATIENCE_S)
    async with client:
        pages = [
            asyncio.create_task(crowd.look(client, cookies[number % len(cookies)], ready)) for number in range(viewers)
        ]
        for _ in range(viewers):
            await ready.acquire()
        await asyncio.sleep(5)  # until all have drawn once
        cpu, began_at, fetched = served.cpu_s(), time.perf_counter(), len(crowd.fetched_s)
        await asyncio.sleep(seconds)
        elapsed = time.perf_counter() - began_at
        share = (served.cpu_s() - cpu) / elapsed
        rate = (len(crowd.fetched_s) - fetched) / elapsed
        cookie = {"cookie": "; ".join(f"{k}={v}" for k, v in cookies[0].items())}
        token = re.search(r'"x-csrf-token": "([^"]+)"', (await client.get("/spending", headers=cookie)).text)
        crowd.is_marked = True
        marked_at = time.perf_counter()
        if token is not None:
            await client.post(f"/jobs/{job}/pause", headers={**cookie, "x-csrf-token": token[1]})
        with suppress(TimeoutError):
            await asyncio.wait_for(crowd.all_heard.wait(), _PATIENCE_S)
        for one in pages:
            one.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
    late = sorted(at - marked_at for at in crowd.heard_at)
    drawn = sorted(crowd.fetched_s)
    return {
        "share": share,
        "rate": rate,
        "heard": len(late),
        "late_median_s": late[len(late) // 2],
        "late_most_s": late[-1],
        "drawn_median_s": drawn[len(drawn) // 2],
        "drawn_p99_s": drawn[int(len(drawn) * 0.99)],
    }


def write_csv(path: Path, count: int) -> Path:
    """Write a list of three columns."""
    with path.open("w", encoding="utf-8") as file:
        file.write("Order,IMEI,Model\r\n")
        file.writelines(f"{number},{make_imei(number)},iPhone 13\r\n" for number in range(count))
    return path


def write_xlsx(path: Path, count: int) -> Path:
    """Write the same list as a workbook."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["Order", "IMEI", "Model"])
    for number in range(count):
        sheet.append([number, str(make_imei(number)), "iPhone 13"])
    book.save(path)
    return path


def make_million(home: Path) -> JobId:
    """Make a ledger with a finished job of a million orders."""
    fill_ledger(home, 1_000_000, 1)
    with Session.open(load_configuration({"IMEIFLOW_HOME": str(home)}, home)) as session:
        (job,) = session.ledger.list_jobs()
        session.ledger.change_job(job.id, {JobState.RUNNING}, JobState.FINISHED, None)
        return job.id


def start_long_job(served: Served, orders: int) -> JobId:
    """Order a long list by the command line, and leave it to the server."""
    home = Path(served.environ["IMEIFLOW_HOME"])
    path = write_csv(home / "long.csv", orders)
    program = str(Path(sys.executable).parent / "imeiflow")
    command = [program, "submit", str(path), "--service", "1", "--yes", "--detach", "--json"]
    subprocess.run(command, env=served.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    with served.session() as session:
        return session.ledger.list_jobs(JobState.RUNNING)[0].id


def make_simulator(**behaviour: Any) -> SimulatorProcess:
    """Start a simulated provider."""
    return SimulatorProcess.start(Behaviour(**behaviour))


def _end(child: subprocess.Popen[str]) -> None:
    """Stop a server, at once if its calls take long."""
    child.send_signal(signal.SIGINT)
    try:
        child.wait(3)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGINT)
        child.wait(30)


def _browse(served: Served, cookies: dict[str, str]) -> httpx.Client:
    headers = {"hx-request": "true"}
    return httpx.Client(base_url=served.base_url, cookies=cookies, headers=headers, timeout=_PATIENCE_S)
