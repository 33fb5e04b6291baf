"""What commands show of a server is what they show on its ledger, word for word."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from imeiflow.cli.server import name_only_account
from imeiflow.errors import ConfigurationError
from tests.operations.stand import make_imei

IMEI = make_imei(4)


@pytest.mark.parametrize(
    "typed",
    [
        "jobs",
        "jobs --json",
        "jobs --limit 2",
        "jobs --state running",
        "show 7",
        "show 7 --json",
        "orders",
        "orders --limit 3 --json",
        "orders --job 7 --state unconfirmed --state refused",
        f"orders --imei {IMEI} --limit 2 --timeline",
        f"orders --imei {IMEI} --imei nonsense --json",
        f"orders --imei {make_imei(900)}",
        "orders --accepted-from today --after 9-9999 --limit 2",
        "orders --reference R3 --timeline --json",
        "settle 7",
        "settle 7 --json",
        "services",
        "services --json --search check",
        "services --history 5",
        "services --history none --json",
        "account",
        "account --json --account gsm-fusion",
        "spending",
        "spending --by job --json",
        "spending --from 2020-01-01 --to 2020-01-02",
        "export 7 -o - --format csv",
        "export 7 -o - --format jsonl",
        "export 7 8 -o - --failed --format csv",
        "export --all -o - --layout gsm-fusion --status completed",
        "show 777",
        "orders --job 777",
        "services --account none",
    ],
)
def test_it_is_what_the_ledger_there_shows(type_remotely, type_locally, typed):
    here, there = type_locally(*typed.split()), type_remotely(*typed.split())
    assert forget_when(there.out) == forget_when(here.out)
    assert there.status == here.status, there.err


def forget_when(out: str) -> str:
    """Leave out when the credit was asked for: a server asks once for all who look within some seconds."""
    return re.sub(r'("credit_as_of": )("[^"]+"|null)', r"\1null", out)


@pytest.mark.parametrize(("typed", "older"), [("jobs --limit 2", "7"), ("jobs --limit 9", ""), ("jobs --limit 1", "8")])
def test_it_says_how_many_older_jobs_there_are(type_remotely, type_locally, typed, older):
    here, there = type_locally(*typed.split()), type_remotely(*typed.split())
    assert there.err == here.err == (f"{older} older ones are not shown: see --limit.\n" if older else "")


@pytest.mark.parametrize("typed", ["submit missing.csv --service 1", "submit . --service 1"])
def test_a_list_that_is_not_there_is_told_in_the_same_words(type_remotely, type_locally, typed):
    here, there = type_locally(*typed.split()), type_remotely(*typed.split())
    assert (there.status, there.err) == (here.status, here.err) != (0, "")


@pytest.mark.parametrize(
    "typed",
    [
        ("submit", "phones.csv", "--service", ""),
        ("submit", "phones.csv", "--service", "none"),
        ("submit", "phones.csv", "--service", "1", "--account", "none"),
        ("submit", "phones.csv", "--service", "1", "--column", "Z"),
        ("services", "--account", "none"),
        ("account", "--account", "none"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_the_same_words(type_remotely, type_locally, typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "phones.csv").write_text(f"IMEI\n{IMEI}\n")
    here, there = type_locally(*typed), type_remotely(*typed)
    assert (there.status, there.err) == (here.status, here.err) != (0, "")


@pytest.mark.parametrize(
    ("accounts", "meant"), [({"a": "gsm-fusion"}, "a"), ({"b": "dhru-fusion", "c": "gsm-fusion"}, "c")]
)
def test_the_account_that_is_meant_is_the_only_one_that_orders_can_be_placed_with(accounts, meant):
    assert name_only_account(_Told(accounts)) == meant


@pytest.mark.parametrize(
    ("accounts", "says"),
    [({}, "none is configured at https://shop"), (dict.fromkeys("ab", "gsm-fusion"), "there are 2 accounts")],
)
def test_an_account_that_cannot_be_told_is_asked_for(accounts, says):
    with pytest.raises(ConfigurationError, match=says):
        name_only_account(_Told(accounts))


class _Told:
    """Tells of a server's accounts: the provider of each by its name."""

    server = SimpleNamespace(url="https://shop")

    def __init__(self, accounts: dict[str, str]) -> None:
        self._accounts = accounts

    def get(self, path: str) -> Any:
        assert path == "/accounts"
        return {"accounts": [{"name": name, "provider": kind} for name, kind in self._accounts.items()]}


def test_a_server_whose_name_is_empty_is_not_the_ledger_here(type_remotely, monkeypatch):
    for typed in (("jobs", "--server", ""), ("--server", "", "jobs")):
        done = type_remotely(*typed)
        assert (done.status, done.out) == (1, "")
        assert "--server: it is no address of a server" in done.err


def test_an_export_goes_into_a_file_that_is_not_written_over(type_remotely, type_locally, tmp_path):
    for name in ("results.csv", "results.jsonl", "results.xlsx"):
        target = tmp_path / name
        here = type_locally("export", "7", "-o", str(target))
        written = target.read_bytes()
        target.unlink()
        there = type_remotely("export", "7", "-o", str(target))
        assert (there.status, there.err) == (here.status, here.err)
        assert "rows of job 7 written to" in there.err
        assert target.read_bytes() == written or name == "results.xlsx"
    assert target.read_bytes().startswith(b"PK")
    again = type_remotely("export", "7", "-o", str(tmp_path / "results.csv"))
    assert again.status == 1
    assert "--force" in again.err


def test_a_plot_is_drawn_here(type_remotely, tmp_path):
    assert type_remotely("spending", "--plot", str(tmp_path / "spent.svg")).status == 0
    assert (tmp_path / "spent.svg").read_text().startswith("<svg")


def test_what_a_server_cannot_be_asked_is_said_with_a_remedy(type_remotely, site):
    for typed in (
        f"probe --service 1 --imei {IMEI} --imei {make_imei(5)}",
        "find-limits --service 1",
        "token list",
        "webhooks",
    ):
        done = type_remotely(*typed.split())
        assert done.status == 2, typed
        assert "server" in done.err
        assert done.out == ""


def test_the_server_can_be_named_before_and_behind_the_command(type_remotely, monkeypatch, site):
    assert type_remotely("jobs", "--json").status == 0
    for typed in (("--server", site.base_url, "jobs", "--json"), ("jobs", "--json", "--server", site.base_url)):
        monkeypatch.setenv("IMEIFLOW_SERVER", "http://127.0.0.1:9")
        assert json.loads(type_remotely(*typed).out)
