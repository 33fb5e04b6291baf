"""Which server is meant, and with which token."""

from __future__ import annotations

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.remote.address import read_server

TOKEN = {"IMEIFLOW_TOKEN": "imeiflow_0123456789"}


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://flow.example.com", "https://flow.example.com"),
        ("https://Flow.Example.com:8443/shop/", "https://flow.example.com:8443/shop"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_an_address_is_read(typed, url):
    server = read_server(typed, TOKEN)
    assert server.url == url
    assert TOKEN["IMEIFLOW_TOKEN"] not in repr(server)


@pytest.mark.parametrize(
    "typed",
    [
        "flow.example.com",
        "http://flow.example.com",
        "http://10.0.0.7:8080",
        "ftp://flow.example.com",
        "https://mia:secret@flow.example.com",
        "https://flow.example.com/?token=1",
        "https://flow.example.com:port",
        "https://[::1",
        "https://",
    ],
)
def test_what_is_no_safe_address_is_refused_without_repeating_a_secret(typed):
    with pytest.raises(ConfigurationError) as error:
        read_server(typed, TOKEN)
    assert "secret" not in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize("token", ["", "  ", "two words", "ümlaut", "a\nb"])
def test_a_token_comes_from_the_environment_and_is_whole(token):
    with pytest.raises(ConfigurationError) as error:
        read_server("https://flow.example.com", {"IMEIFLOW_TOKEN": token})
    assert error.value.data["setting"] == "IMEIFLOW_TOKEN"
