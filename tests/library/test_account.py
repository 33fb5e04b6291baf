"""Which account a client works for, and that its key is shown nowhere."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest

from imeiflow import AsyncClient, BatchIMEIProcessor, Client, GSMFusionAPIError, GSMFusionClient
from tests.library.shop import KEY, SERVICE, make_imeis

VARIABLES = ("GSM_FUSION_API_KEY", "GSM_FUSION_USERNAME", "GSM_FUSION_BASE_URL")


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """An environment without any account, and a working directory without `.env`."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IMEIFLOW_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.parametrize("missing", VARIABLES)
def test_a_missing_variable_is_named(bare, missing):
    for name in VARIABLES:
        if name != missing:
            bare.setenv(name, "https://server.example" if name.endswith("URL") else "something")
    with pytest.raises(GSMFusionAPIError, match=missing):
        GSMFusionClient()


def test_without_any_account_it_is_said_how_to_make_one(bare):
    with pytest.raises(GSMFusionAPIError, match="no account is configured") as raised:
        BatchIMEIProcessor().process_batch([], SERVICE)
    assert "GSM_FUSION_API_KEY" in raised.value.remedy


def test_a_login_may_be_given_instead(bare):
    client = GSMFusionClient(api_key=KEY, username="someone", base_url="https://server.example/")
    assert repr(client) == "GSMFusionClient(account='someone@server.example', provider='gsm-fusion')"


def test_a_password_in_a_base_url_is_in_no_name(bare):
    assert (
        Client(key=KEY, username="someone", base_url="https://a:b@server.example").account == "someone@server.example"
    )


def test_what_the_login_leaves_out_is_the_environments(bare):
    bare.setenv("GSM_FUSION_BASE_URL", "https://server.example")
    bare.setenv("GSM_FUSION_USERNAME", "someone")
    assert Client(key=KEY).account == "someone@server.example"


def test_the_environments_own_login_keeps_its_name_however_it_is_given(bare):
    for name, value in zip(VARIABLES, (KEY, "someone", "https://server.example"), strict=True):
        bare.setenv(name, value)
    assert Client().account == "gsm-fusion"
    assert Client(username="someone", base_url="https://Server.example/").account == "gsm-fusion"
    assert Client(key="another-key").account == "gsm-fusion"
    assert Client(username="another").account == "another@server.example"


def test_the_environments_account_is_used_beside_those_that_are_configured(bare, tmp_path):
    accounts = [
        f'[accounts.{name}]\nprovider = "gsm-fusion"\nbase_url = "https://{name}.example"\n'
        f'username = "someone"\nkey = "{KEY}"\n'
        for name in ("one", "two")
    ]
    (tmp_path / "config.toml").write_text("".join(accounts))
    (tmp_path / "config.toml").chmod(0o600)
    with pytest.raises(GSMFusionAPIError, match="there are 2 accounts"):
        Client()
    assert Client("two").account == "two"
    assert Client(username="someone", base_url="https://one.example", key=KEY).account == "one"
    for name, value in zip(VARIABLES, (KEY, "someone", "https://three.example"), strict=True):
        bare.setenv(name, value)
    assert Client().account == "gsm-fusion"


def test_a_name_and_a_login_together_are_refused(bare):
    with pytest.raises(GSMFusionAPIError, match="both given"):
        Client("one", key=KEY)


def test_a_base_url_without_tls_is_refused_before_the_key_leaves(bare):
    with GSMFusionClient(KEY, "someone", "http://server.example") as client:
        with pytest.raises(GSMFusionAPIError, match="would send the key unencrypted"):
            client.get_imei_services()
        with pytest.raises(GSMFusionAPIError, match="would send the key unencrypted"):
            client.place_imei_order(make_imeis(1), SERVICE)


@pytest.mark.parametrize("kind", [Client, AsyncClient, GSMFusionClient])
def test_no_repr_shows_the_key(open_shop, kind):
    open_shop()
    assert KEY not in repr(kind())


def test_the_key_is_in_no_result_error_log_or_file(open_shop, caplog):
    shop = open_shop()
    secret = "another-key-nobody-may-see"
    with caplog.at_level(logging.DEBUG), GSMFusionClient(api_key=secret) as client:
        placed = client.place_imei_order(make_imeis(1), SERVICE)
        with pytest.raises(GSMFusionAPIError) as raised:
            client.get_imei_services()
    assert "Invalid User!" in placed["errors"][0]
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value.data)
    assert secret not in f"{placed}{told}{caplog.text}"
    assert secret.encode() not in pickle.dumps(raised.value)
    files = [path for path in shop.home.rglob("*") if path.is_file()]
    assert any(path.name.startswith("ledger") for path in files)
    assert not any(secret.encode() in path.read_bytes() for path in files)
