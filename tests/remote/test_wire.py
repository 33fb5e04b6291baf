"""One request to a server: what comes back, what goes wrong, and that nothing is followed or repeated."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from imeiflow.remote import wire
from imeiflow.remote.address import Server, read_server
from imeiflow.remote.client import Client
from imeiflow.remote.error import LostError, RemoteError, UnreachableError
from imeiflow.remote.event import ask_patiently, follow_job, read_events
from imeiflow.remote.wire import Request, ask, open_stream

TOKEN = {"IMEIFLOW_TOKEN": "imeiflow_0123456789"}
GET = Request(method="GET", path="/jobs/7")
PROBLEM = (
    b'{"type": "/api/v1/docs#problem-job-state", "title": "t", "status": 409, "detail": "Job 7 is running.",'
    b' "remedy": "Pause it.", "exit_status": 2}'
)
SUMMARY = (
    '{"job": 7, "state": "%s", "total": 2, "accepted": 1, "duplicate": 0, "refused": 0, "failed": 0, "unconfirmed": 0,'
    ' "queued": 1, "invalid": 0, "repeated": 0, "cancelled": 0, "sending": 1, "attempts": 1, "spent": 0.10,'
    ' "refunded": 0, "in_doubt": 0.1, "probed": 0, "currency": "USD", "seconds": 1.5, "reason": null}'
)


@contextmanager
def serve(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[Server]:
    """Answer requests as a test wants it; HTTP/1.1, one connection after the other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            answer(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield read_server(f"http://127.0.0.1:{server.server_address[1]}", TOKEN)
        finally:
            server.shutdown()
            thread.join()


def reply(status: int, body: bytes = b"", media_type: str = "application/json", **headers: str) -> Callable[..., None]:
    def send(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("content-type", media_type)
        handler.send_header("content-length", headers.pop("length", str(len(body))))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def test_a_value_comes_back_exact_and_the_token_goes_along():
    heard = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        heard.append((handler.path, handler.headers["authorization"]))
        reply(200, b'{"spent": 0.10}')(handler)

    with serve(answer) as server:
        told = ask(server, Request(method="GET", path="/jobs/7", query={"a": ["x", "y"], "b": None, "c": "ä&"}))
    assert str(told["spent"]) == "0.10"
    assert heard == [("/api/v1/jobs/7?a=x&a=y&c=%C3%A4%26", "Bearer imeiflow_0123456789")]


def test_a_problem_is_told_with_its_remedy_kind_and_exit_status():
    with serve(reply(409, PROBLEM, "application/problem+json")) as server, pytest.raises(RemoteError) as error:
        ask(server, GET)
    assert str(error.value) == "Job 7 is running."
    assert (error.value.remedy, error.value.code, error.value.exit_code) == ("Pause it.", "job-state", 2)


def test_a_redirect_is_not_followed():
    heard = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        heard.append(handler.path)
        reply(302, location="/elsewhere")(handler)

    with serve(answer) as server, pytest.raises(RemoteError, match="not followed"):
        ask(server, GET)
    assert len(heard) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b'{"job": 7', length="400"),  # cut
        reply(200, b"<html>"),
        reply(200, b""),
        reply(200, b"null"),
        reply(200, b"[1]"),
        reply(200, b'{"spent": NaN}'),
        reply(200, b"[" * 100_000),
        reply(502, b"<html>Bad gateway</html>", "text/html"),
        lambda _: None,  # closed without a word
    ],
)
def test_an_answer_that_is_no_answer_is_lost(answer):
    with serve(answer) as server, pytest.raises(LostError):
        ask(server, GET)


def test_an_answer_without_end_is_not_taken(monkeypatch):
    monkeypatch.setattr(wire, "_LARGEST_ANSWER", 1 << 20)
    sent = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            for _ in range(64):
                handler.wfile.write(b" " * (1 << 20))
                sent.append(1)

    with serve(answer) as server, pytest.raises(RemoteError, match="over 1 MB"):
        ask(server, GET)
    assert len(sent) < 64


def test_a_line_without_end_is_not_taken():
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            handler.wfile.write(b"x" * (4 << 20))

    with serve(answer) as server, pytest.raises(LostError), open_stream(server, GET) as stream:
        list(stream.lines())


def test_what_an_answer_lacks_is_said():
    with serve(reply(200, b'{"jobs": [{"job": 7}]}')) as server:
        told = ask(server, GET)
    assert told["jobs"][0]["job"] == 7
    with pytest.raises(RemoteError, match="it has no `state`") as error:
        told["jobs"][0]["state"]
    assert "different versions" in error.value.remedy


def test_a_server_that_is_none_of_ours_is_said_to_be_none():
    answer = reply(404, b"<html>Not here</html>", "text/html")
    with serve(answer) as server, pytest.raises(RemoteError, match="no imeiflow"):
        ask(server, GET)


def test_what_was_sent_once_stays_lost_where_the_server_cannot_be_reached_any_more():
    stops = threading.Event()
    with serve(lambda _: stops.set()) as server, pytest.raises(LostError):
        ask(server, GET)
    assert stops.is_set()
    with pytest.raises(UnreachableError):
        Client(server, sleep=lambda _: None).get("/jobs")


def test_a_request_that_may_have_arrived_is_told_from_one_that_did_not():
    with serve(lambda handler: handler.server.socket.close()) as server, pytest.raises(LostError):
        Client(server, sleep=lambda _: None).act("/jobs/7/pause")


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, tls_server):
    with pytest.raises(UnreachableError, match="certificate"):
        ask(read_server(tls_server, TOKEN), GET)


def test_a_busy_server_is_asked_again_and_another_problem_is_not():
    heard = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        heard.append(handler.headers["idempotency-key"])
        status = 503 if len(heard) < 3 else 409
        reply(status, PROBLEM, "application/problem+json")(handler)

    waits: list[float] = []
    with serve(answer) as server, pytest.raises(RemoteError):
        Client(server, sleep=waits.append).act("/jobs/7/pause")
    assert len(heard) == 3
    assert len(set(heard)) == 1
    assert waits == [0.5, 1.0]


def test_events_are_read_whatever_stands_between_them():
    lines = [": still here", "", "event: job", 'data: {"a":', "data: 1}", "", "data: no json", "", "event: x", ""]
    assert list(read_events(iter(lines))) == [{"a": 1}]


def test_a_job_is_followed_by_asking_where_no_stream_can_be_had():
    looks = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("/events"):
            if len(looks) < 2:
                reply(502, b"no streams here", "text/plain")(handler)
            else:
                body = f"event: end\ndata: {SUMMARY % 'finished'}\n\n".encode()
                reply(200, body, "text/event-stream")(handler)
            return
        looks.append(handler.path)
        reply(200, (SUMMARY % "running").encode())(handler)

    told: list[str] = []
    with serve(answer) as server:
        client = Client(server, sleep=lambda _: None)
        states = [one.state for one in follow_job(client, 7, on_trouble=told.append, sleep=lambda _: None)]
    assert states == ["running", "running", "finished"]
    assert len(told) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_job_is_followed_though_its_server_has_no_time_for_a_while(status):
    heard = []
    busy = b'{"type": "/api/v1/docs#problem-busy", "title": "t", "status": 503, "detail": "Not just now."}'

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        heard.append(handler.path)
        if len(heard) <= 20:
            reply(status, busy, "application/problem+json")(handler)
        else:
            reply(200, f"event: end\ndata: {SUMMARY % 'finished'}\n\n".encode(), "text/event-stream")(handler)

    with serve(answer) as server:
        client = Client(server, sleep=lambda _: None)
        states = [one.state for one in follow_job(client, 7, sleep=lambda _: None)]
    assert states == ["finished"]
    assert len(heard) > 20


def test_a_question_about_a_job_is_asked_until_it_is_answered_and_one_that_is_turned_away_is_not():
    answers = iter([LostError(server="s", problem="p"), RemoteError(problem="busy", status=503), 7])

    def ask_next() -> int:
        told = next(answers)
        if isinstance(told, Exception):
            raise told
        return told

    told: list[str] = []
    waits: list[float] = []
    assert ask_patiently(ask_next, on_trouble=told.append, sleep=waits.append) == 7
    assert (len(told), waits) == (2, [2.0, 4.0])
    answers = iter([RemoteError(problem="There is no job 7.", status=404)])
    with pytest.raises(RemoteError):
        ask_patiently(ask_next, sleep=waits.append)
