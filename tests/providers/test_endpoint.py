"""Where calls may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.providers.contract import Login
from imeiflow.providers.endpoint import build_ssl_context, is_loopback, read_base_url
from tests.providers.wire import make_login

PATHS = ("/gsmfusion_api/index.php", "/UPAPI_api/index.php")


def login(url: str, **changes: object) -> Login:
    return make_login(1, base_url=url, **changes)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://shop.example", "https://shop.example/"),
        (" https://shop.example/ ", "https://shop.example/"),
        ("https://shop.example/gsmfusion_api/index.php", "https://shop.example/"),
        ("https://shop.example/gsmfusion_api/index.php/", "https://shop.example/"),
        ("https://shop.example/GsmFusion_API/", "https://shop.example/"),
        ("https://shop.example/panel/UPAPI_api/index.php?x=1#y", "https://shop.example/panel"),
        ("https://shop.example:8443/panel//", "https://shop.example:8443/panel"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://127.8.9.1", "http://127.8.9.1/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
        ("http://localhost:1", "http://localhost:1/"),
    ],
)
def test_a_base_url_is_read_leniently(text: str, read: str) -> None:
    assert str(read_base_url(login(text), PATHS)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "ftp://shop.example",
        "https://",
        "http://shop.example",
        "http://localhost.example",
        "http://10.0.0.1",
        "https://bob:secret-word@shop.example",
        "https://shop.example:port",
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_base_url(login(text), PATHS)
    assert caught.value.data["setting"] == "base_url"
    assert caught.value.remedy
    assert "secret-word" not in str(caught.value)


def test_plain_http_is_allowed_where_the_account_says_so() -> None:
    assert str(read_base_url(login("http://shop.example", insecure=True))) == "http://shop.example/"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.1", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "::2", "10.0.0.1", "example.com"])
def test_everything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_certificate_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="ca_file"):
        build_ssl_context(login("https://shop.example", ca_file=str(path)))


def test_servers_are_verified() -> None:
    context = build_ssl_context(login("https://shop.example"))
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
