"""What is measured: true, cheap, without a secret, and described as it is."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import ConfigurationError, LedgerError
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.embedded import EmbeddedRunner
from imeiflow.operations.stock import Stock
from imeiflow.web.setting import read_metrics_token
from tests.operations.stand import add_job, answer, finish, make_imei, open_session
from tests.web.ask import Asker, find_port, list_routes, wait_for_runner
from tests.web.site import open_site

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "metrics.md"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
LABELS = {
    "account": {"gsm-fusion"},
    "ending": {ending.value for ending in Ending},
    "outcome": {outcome.value for outcome in Outcome},
    "state": {*OrderState, *JobState},
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
}


def read(text):
    """Read a scrape: values by name and labels, and the families."""
    families = list(text_string_to_metric_families(text))
    values = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    return values, families


def scrape(site, **headers):
    answer_ = Asker(site).ask("GET", "/metrics", **headers)
    assert answer_.status == 200, answer_.body
    assert answer_.headers["content-type"].startswith("text/plain; version=")
    return read(answer_.body)


@pytest.fixture
def measured(make_site):
    site = make_site(bad_imeis=("350000000000004",), latency="0.01")
    wait_for_runner(site)
    job = site.add_job(40)
    site.wait_for(job, JobState.FINISHED)
    Asker(site).ask("GET", "/sign-in?next=/secret-place")
    Asker(site).ask("GET", "/no/such/place")
    return site


def test_what_is_measured_is_what_happened(measured):
    values, _ = scrape(measured)
    tally = measured.session.ledger.tally(measured.session.ledger.list_jobs()[0].id)
    for state in OrderState:
        assert values["imeiflow_orders", (("state", state.value),)] == tally[state]
    assert values["imeiflow_jobs", (("state", "finished"),)] == 1
    assert values["imeiflow_queue_age_seconds", ()] == 0
    calls = measured.sim.stats.actions["placeorder"]
    ours = (("account", "gsm-fusion"),)
    assert values["imeiflow_attempts_total", (*ours, ("ending", "answered"))] == calls
    assert values["imeiflow_call_duration_seconds_count", ours] == calls
    assert values["imeiflow_attempt_outcomes_total", (*ours, ("outcome", "accepted"))] == tally[OrderState.ACCEPTED]
    assert values["imeiflow_ledger_commit_duration_seconds_count", ()] > 0
    assert values["imeiflow_runner_alive", ()] == 1


def test_no_label_can_be_multiplied_from_outside_and_none_tells_a_secret(measured):
    for number in range(5):
        Asker(measured).ask("GET", f"/made/up/{number}")
        Asker(measured).ask(f"MADE{number}", "/jobs")
    _, families = scrape(measured)
    routes = {route.path for route in list_routes(measured)} | {"none"}
    for family in families:
        if not family.name.startswith("imeiflow_"):
            continue
        for sample in family.samples:
            for name, value in sample.labels.items():
                if name == "route":
                    assert value in routes
                elif name in LABELS:
                    assert value in LABELS[name], f"{sample.name}: {name}={value}"
                else:
                    assert name in {"le", "version", "status"}, f"{sample.name}: {name}={value}"


def test_the_page_says_what_there_is(measured):
    _, families = scrape(measured)
    said = set(re.findall(r"^\| `(imeiflow_\w+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    there = {
        f"{one.name}_total" if one.type == "counter" else one.name for one in families if one.name[:9] == "imeiflow_"
    }
    assert said == there
    assert all(one.documentation for one in families)


def test_the_dashboard_asks_for_nothing_that_is_not_there(measured):
    values, families = scrape(measured)
    names = {name for name, _ in values} | {family.name for family in families}  # a lane at rest has no values
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert asked
    for expression in asked:
        found = re.findall(r"\b(?:imeiflow|process)_\w+", expression)
        assert found, expression
        assert set(found) <= names, expression
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_dashboard_names_no_label_that_its_values_do_not_have(measured):
    values, _ = scrape(measured)
    labels: dict[str, set[str]] = {}
    for name, given in values:
        labels.setdefault(name, set()).update(dict(given))
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    checked = 0
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            expression, legend = target["expr"], target.get("legendFormat", "")
            asked = set(re.findall(r"\b(?:imeiflow|process)_\w+", expression))
            known = set().union(*(labels.get(name, set()) for name in asked))
            if not any(name in labels for name in asked):
                continue  # of a lane at rest there are no values
            named = {one.strip() for by in re.findall(r"\bby \(([^)]*)\)", expression) for one in by.split(",")}
            named |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
            named |= set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))
            assert named <= known | {"le"}, (expression, legend, known)
            checked += len(named)
    assert checked > 10


def test_only_this_machine_may_ask_without_a_token(site):
    for header in ({"x_forwarded_for": "192.0.2.7"}, {"forwarded": "for=192.0.2.7"}, {"x_real_ip": "192.0.2.7"}):
        assert Asker(site).ask("GET", "/metrics", **header).status == 403


def test_behind_a_proxy_nobody_may_ask_without_a_token(tmp_path):
    port = find_port()
    with open_site(tmp_path / "home", public_url="http://flow.example.com", port=port) as site:
        site.base_url = f"http://127.0.0.1:{port}"
        assert Asker(site).ask("GET", "/metrics").status == 403


def test_with_a_token_whoever_has_it_may_ask(tmp_path):
    with open_site(tmp_path / "home", metrics_token="a-token-of-a-test-0123") as site:
        assert "a-token" not in repr(site.server.office.settings)
        for given in ("", "Bearer ", "Bearer a-token-of-a-test-012", "a-token-of-a-test-0123"):
            assert Asker(site).ask("GET", "/metrics", authorization=given).status == 403
        scrape(site, authorization="Bearer a-token-of-a-test-0123")


@pytest.mark.parametrize("text", ["", "short", "two words of a token", "ünïcödé-tökén-0123456789"])
def test_what_is_no_token_is_refused(tmp_path, text):
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="--metrics-token-file"):
        read_metrics_token(tmp_path / "token")


def test_a_job_that_is_over_is_counted_once_and_again_when_something_happens_to_it(tmp_path):
    with open_session(tmp_path) as session:
        job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in range(2, 6)])
        counted = []
        ledger_tally = session.ledger.tally
        session.ledger.tally = lambda id_: (counted.append(id_), ledger_tally(id_))[1]  # type: ignore[method-assign]
        stock = Stock(session, lambda _: None)
        assert stock.take().orders == {OrderState.QUEUED: 4}
        assert stock.take().queued_since is not None
        answer(session, job, dict.fromkeys(range(2, 6), OrderState.ACCEPTED))
        finish(session, job)
        assert stock.take().orders == {OrderState.ACCEPTED: 4}
        counted.clear()
        taken = stock.take()
        assert (taken.orders, taken.jobs, counted) == ({OrderState.ACCEPTED: 4}, {JobState.FINISHED: 1}, [])
        session.ledger.log_event("touched", job=job)
        stock.take()
        assert counted == [job]


def test_a_server_that_lives_and_works_says_so(site):
    asker = Asker(site)
    assert (asker.ask("GET", "/healthz").body, asker.ask("GET", "/readyz").body) == ("ok\n", "ok\n")
    for path in ("/healthz", "/readyz"):
        head = asker.ask("HEAD", path)
        assert (head.status, head.body) == (200, "")


def test_a_runner_that_does_not_turn_is_not_alive(tmp_path):
    with open_session(tmp_path) as session:
        runner = EmbeddedRunner(session)
        assert runner.is_alive
        runner._turned_at -= 61
        assert not runner.is_alive


class Dead:
    """A runner whose loop has not turned for a while, and that is as it was in all else."""

    is_alive = False

    def __init__(self, runner):
        self._runner = runner

    def __getattr__(self, name):
        return getattr(self._runner, name)


def test_a_server_whose_runner_does_not_turn_or_that_stops_is_not_ready(site):
    asker, office = Asker(site), site.server.office
    runner, office.runner = office.runner, Dead(office.runner)
    found = asker.ask("GET", "/readyz")
    office.runner = runner
    assert (found.status, found.body) == (503, "the runner does not work\n")
    assert asker.ask("GET", "/readyz").status == 200
    office.is_stopping = True
    found = asker.ask("GET", "/readyz")
    office.is_stopping = False
    assert (found.status, found.body, asker.ask("GET", "/healthz").status) == (503, "stopping\n", 200)


def test_a_ledger_that_cannot_be_read_is_not_ready(site):
    asker, path = Asker(site), site.session.ledger.path
    check = site.session.ledger.check_writable

    def fail():
        raise LedgerError(path=path, problem="disk I/O error")

    site.session.ledger.check_writable = fail
    found = asker.ask("GET", "/readyz")
    site.session.ledger.check_writable = check
    assert (found.status, found.body) == (503, "the ledger cannot be written\n"), path


def test_a_ledger_that_cannot_be_written_is_not_ready(site):
    asker = Asker(site)
    with sqlite3.connect(site.session.ledger.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        found = asker.ask("GET", "/readyz")
        other.execute("ROLLBACK")
    other.close()
    assert (found.status, found.body) == (503, "the ledger cannot be written\n")
