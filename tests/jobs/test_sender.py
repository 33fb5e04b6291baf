"""One message, sent once: signed, not redirected, no secret in what comes out, no error whatever the receiver does."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.jobs.endpoint import check_url, is_forbidden
from imeiflow.jobs.sender import Sender, Sent
from imeiflow.jobs.signature import verify
from tests.jobs.receiver import PATH, SECRET, open_receiver

BODY = b'{"id":"evt_1"}'


def now() -> datetime:
    return datetime.now(UTC)


async def send(receiver, **values) -> Sent:
    sender = Sender(now=now)
    try:
        return await sender.send(receiver.endpoint(**values), BODY, event_id="evt_1", event="job.finished")
    finally:
        await sender.close()


async def test_a_message_comes_as_it_was_written_with_its_signature_and_names():
    async with open_receiver() as receiver:
        sent = await send(receiver)
    (got,) = receiver.received
    assert got.body == BODY
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Imeiflow-Event"] == "job.finished"
    assert got.headers["Imeiflow-Id"] == "evt_1"
    assert verify(SECRET, got.body, got.signature, int(time.time()))
    assert (sent.http_status, sent.problem) == (200, "")


async def test_what_comes_back_is_kept_without_the_secret():
    async with open_receiver(500) as receiver:
        sent = await send(receiver)
    assert sent.http_status == 500
    assert sent.reply == "500 said the receiver, who knows ***"


async def test_what_comes_back_is_kept_without_what_follows_the_host_in_the_address():
    async with open_receiver() as receiver:
        receiver.text = f"Cannot POST {PATH}?key=a%20long%20key&amp;more: no {PATH}, no key=a long key&more"
        sent = await send(receiver, url=f"{receiver.url}?key=a%20long%20key&more")
    assert sent.reply == "200 Cannot POST ***: no ***, no ***"


async def test_what_comes_back_is_kept_without_the_keys_in_the_address():
    async with open_receiver() as receiver:
        receiver.text = 'token-in-the-path of a hook: {"key": "in-the-query", "list": "a b-cd"}'
        sent = await send(receiver, url=f"{receiver.url}?key=in-the-query&list=a%20b-cd")
    assert sent.reply == '200 *** of a hook: {"key": "***", "list": "***"}'


async def test_what_keeps_a_message_from_being_sent_is_said_without_the_secret():
    async with open_receiver() as receiver:
        sent = await send(receiver, url=f"http://{SECRET}.example/hook")
    assert sent.http_status is None
    assert "http://***.example would send results unencrypted" in sent.problem
    assert receiver.received == []


async def test_a_redirect_is_not_followed():
    async with open_receiver((307, {"Location": "/elsewhere"})) as receiver:
        sent = await send(receiver)
    assert sent.http_status == 307
    assert "not followed" in sent.problem
    assert len(receiver.received) == 1


async def test_the_time_to_wait_is_read():
    async with open_receiver((429, {"Retry-After": "7"})) as receiver:
        assert (await send(receiver)).retry_after_s == 7.0


async def test_nobody_there_is_no_error_and_shows_no_address():
    async with open_receiver() as receiver:
        pass
    sent = await send(receiver)
    assert sent.http_status is None
    assert sent.problem.startswith("no connection")
    assert "token" not in sent.problem


async def test_a_name_that_leads_to_a_forbidden_address_is_not_sent_to():
    async with open_receiver() as receiver:
        sender = Sender(now=now)
        inner = sender._open().connector._resolver._inner

        async def resolve(host, port, family):
            return [
                {"hostname": host, "host": "169.254.169.254", "port": port, "family": family, "proto": 0, "flags": 0}
            ]

        inner.resolve = resolve
        endpoint = receiver.endpoint(url="https://metadata.example/latest")
        sent = await sender.send(endpoint, BODY, event_id="evt_1", event="job.finished")
        await sender.close()
    assert sent.http_status is None
    assert "nowhere that may be sent to" in sent.problem


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("::ffff:169.254.169.254", True),
        ("0.0.0.0", True),  # noqa: S104
        ("224.0.0.1", True),
        ("127.0.0.1", False),
        ("10.0.0.7", False),
        ("203.0.113.9", False),
        ("shop.example", False),
    ],
)
def test_addresses_that_no_receiver_has_are_forbidden(address, expected):
    assert is_forbidden(address) is expected


@pytest.mark.parametrize(
    "url", ["https://shop.example/a?b=c", "http://127.0.0.1:8080/", "http://localhost/x", "https://10.0.0.7/"]
)
def test_https_and_this_machine_are_sent_to(url):
    check_url(url, insecure=False, setting="webhooks[1].url")


@pytest.mark.parametrize(
    "url",
    ["http://shop.example/", "ftp://shop.example/", "shop.example", "", "https://169.254.169.254/latest", "https://"],
)
def test_other_addresses_are_refused_with_the_setting_and_the_form(url):
    with pytest.raises(ConfigurationError) as caught:
        check_url(url, insecure=False, setting="webhooks[1].url")
    assert "webhooks[1].url" in str(caught.value)
    assert "https://" in caught.value.remedy


def test_insecure_allows_http():
    check_url("http://shop.example/", insecure=True, setting="webhooks[1].url")


async def test_only_some_messages_are_under_way_at_once():
    async with open_receiver() as receiver:
        receiver.may_answer.clear()
        sender = Sender(now=now)
        tasks = [
            asyncio.create_task(sender.send(receiver.endpoint(), BODY, event_id=f"evt_{n}", event="e"))
            for n in range(9)
        ]
        while len(receiver.received) < 4:
            receiver.has_come.clear()
            await receiver.has_come.wait()
        receiver.has_come.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receiver.has_come.wait(), 0.1)
        assert len(receiver.received) == 4
        receiver.may_answer.set()
        assert [one.http_status for one in await asyncio.gather(*tasks)] == [200] * 9
        await sender.close()
