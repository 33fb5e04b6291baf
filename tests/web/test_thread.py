"""Who waits in which threads: neither exports nor pages hold up the engine, and exports hold up no page."""

from __future__ import annotations

import ast
import asyncio
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import imeiflow.web
from imeiflow.domain.order import JobState
from imeiflow.domain.user import Role, Scope
from imeiflow.web import thread
from imeiflow.web.metric import Meter
from imeiflow.web.watch import Watch
from tests.web.api.client import check_problem, enter
from tests.web.ask import Asker

ROOT = Path(imeiflow.web.__file__).parent
PATIENCE_S = 60.0


@contextmanager
def occupied(*pools):
    """Occupy all threads of pools."""
    release = threading.Event()
    try:
        for pool in pools:
            taken = threading.Barrier(pool._max_workers + 1)

            def wait(taken=taken):
                taken.wait(PATIENCE_S)
                release.wait(PATIENCE_S)

            for _ in range(pool._max_workers):
                pool.submit(wait)
            taken.wait(PATIENCE_S)
        yield
    finally:
        release.set()


def test_nothing_of_the_web_waits_in_the_threads_of_the_engine():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"to_thread", "run_in_executor"}
        if path.name not in {"thread.py", "server.py"}
    ]
    assert found == []


def test_the_engine_has_threads_of_its_own(site):
    name = asyncio.run_coroutine_threadsafe(
        asyncio.to_thread(lambda: threading.current_thread().name), site._loop
    ).result(PATIENCE_S)
    assert name.startswith("engine")


def test_a_job_goes_on_while_pages_and_exports_wait(site):
    with occupied(thread._pool, thread._exporters):
        job = site.add_job(5)
        site.wait_for(job, JobState.FINISHED)


def test_pages_are_drawn_while_exports_wait_and_one_too_many_is_asked_to_come_again(site, admin):
    job = site.add_job(3)
    site.wait_for(job, JobState.FINISHED)
    boss = Asker(site, admin)
    program = enter(site, Scope.READ, user=admin)
    others = [Asker(site, site.add_user(name, Role.VIEWER)) for name in ("ann", "leo", "eva")]
    exports = site.server.office.exports
    with occupied(thread._exporters):
        held = [exports.enter("mia") for _ in range(3)]
        assert boss.ask("GET", "/jobs").status == 200
        for path in (f"/jobs/{job}/export", f"/jobs/{job}/export?format=xlsx"):
            answer = boss.ask("GET", path)
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "Too many exports" in answer.body
        refused = program.ask("GET", f"/export?job={job}")
        assert "Too many exports" in check_problem(refused, 503, "busy")["detail"]
        assert int(refused.headers["retry-after"]) > 0
        held += [exports.enter(name) for name in ("a", "b", "c", "d", "e")]
        assert others[0].ask("GET", f"/jobs/{job}/export").status == 503
        for one in held:
            one.leave()
    assert boss.ask("GET", f"/jobs/{job}/export").status == 200
    assert program.ask("GET", f"/export?job={job}").raw.count(b"\n") == 4
    site.wait_until(lambda: exports.count("mia") == 0, "the places are not left")


async def test_whoever_reads_no_answer_is_left():
    seen = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            seen.append("left")

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    meter = Meter()
    await Watch(app, meter, patience_s=0.01)({"type": "http", "method": "GET"}, None, send)
    assert seen == ["left"]
    assert b'status="200"' in generate_latest(meter.registry)


async def test_what_breaks_in_an_application_is_not_taken_for_a_reader_who_left():
    async def app(scope, receive, send):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Watch(app, Meter(), patience_s=60.0)({"type": "http", "method": "GET"}, None, None)
