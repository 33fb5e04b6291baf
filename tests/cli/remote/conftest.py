"""Commands that are typed against a running server, in this process, and the same ones on its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from imeiflow.cli.program import program as commands
from imeiflow.cli.program import run
from imeiflow.domain.user import Scope
from tests.web.api.client import enter
from tests.web.seed import add_much, seed
from tests.web.site import Site, open_site


@dataclass(frozen=True)
class Done:
    """What a command printed, said, and ended with."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """Keep the log of the server in this process from between the lines of a command; leave it as it was."""
    silence()
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop") / "home"


@pytest.fixture(scope="module")
def site(home: Path) -> Iterator[Site]:
    """Give a server with something of everything."""
    home.mkdir()
    seed(home, add_much)
    with open_site(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    program = enter(site, Scope.ORDER, Scope.SETTLE)
    assert program.secret is not None
    return program.secret


@pytest.fixture
def type_remotely(
    site: Site, token: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Type a command that asks the server."""

    def type_(*arguments: str) -> Done:
        monkeypatch.setenv("IMEIFLOW_HOME", str(tmp_path / "mine"))
        monkeypatch.setenv("IMEIFLOW_SERVER", site.base_url)
        monkeypatch.setenv("IMEIFLOW_TOKEN", token)
        return _run(capfd, *arguments)

    return type_


@pytest.fixture
def type_locally(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Type a command on the server's own ledger."""

    def type_(*arguments: str) -> Done:
        monkeypatch.setenv("IMEIFLOW_HOME", str(home))
        monkeypatch.delenv("IMEIFLOW_SERVER", raising=False)
        monkeypatch.setenv("GSM_FUSION_BASE_URL", site.sim.base_url)
        monkeypatch.setenv("GSM_FUSION_USERNAME", site.sim.username)
        monkeypatch.setenv("GSM_FUSION_API_KEY", site.sim.api_key)
        return _run(capfd, *arguments)

    return type_


def silence() -> None:
    """Drop what is logged from now on: the server in this process would write between the lines."""
    structlog.configure(processors=[_drop])


def _drop(*_: object) -> str:
    raise structlog.DropEvent


def _run(capfd: pytest.CaptureFixture[str], *arguments: str) -> Done:
    silence()  # a command before may have set up a log of its own
    capfd.readouterr()
    status = run(commands, arguments)
    told = capfd.readouterr()
    return Done(status, told.out, told.err)
