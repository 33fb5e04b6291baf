"""What a start finds: home, ledger, accounts from file and environment; and that whatever is wrong stops it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.operations.configuration import Configuration, load_configuration

GSM = {
    "GSM_FUSION_BASE_URL": "https://shop.example",
    "GSM_FUSION_USERNAME": "shop",
    "GSM_FUSION_API_KEY": "secret-key-1234",
}
ACCOUNT = """
[accounts.main]
provider = "gsm-fusion"
base_url = "https://shop.example"
username = "shop"
key = "secret-key-1234"
"""


def load(home: Path, text: str = "", mode: int = 0o600, **environ: str) -> Configuration:
    if text:
        home.mkdir(mode=0o700, exist_ok=True)
        path = home / "config.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
    return load_configuration({"IMEIFLOW_HOME": str(home), **environ}, directory=home)


def refuse(home: Path, text: str = "", **environ: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(home, text, **environ)
    assert "secret-key-1234" not in str(caught.value) + caught.value.remedy
    return caught.value


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_nothing_is_needed_and_nothing_is_written(home: Path):
    configuration = load(home)
    assert configuration.accounts == {}
    assert configuration.ledger == home / "ledger.sqlite"
    assert not home.exists()


def test_the_environment_makes_a_ready_account(home: Path):
    account = load(home, **GSM).choose_account(None)
    assert (account.name, account.provider, account.base_url) == ("gsm-fusion", "gsm-fusion", "https://shop.example")
    assert account.read_key({}) == "secret-key-1234"
    assert "secret-key-1234" not in repr(account)
    assert "secret-key-1234" not in repr(load(home, **GSM))


def test_a_dotenv_file_does_so_too_and_the_environment_outweighs_it(home: Path):
    home.mkdir()
    lines = [f"{name}={value}" for name, value in GSM.items()]
    (home / ".env").write_text("\n".join(lines).replace("secret-key-1234", "'a$b'"), encoding="utf-8")
    assert load(home).choose_account(None).key == "a$b"
    assert load(home, GSM_FUSION_API_KEY="secret-key-1234").choose_account(None).key == "secret-key-1234"


@pytest.mark.parametrize("missing", sorted(GSM))
def test_a_variable_that_is_missing_is_named(home: Path, missing):
    error = refuse(home, **{name: value for name, value in GSM.items() if name != missing})
    assert error.data["setting"] == missing


def test_an_account_is_read_from_the_file_with_all_its_settings(home: Path):
    more = 'max_concurrency = 20\nrate = "2/s"\nrepeat_probe_max_price = 0.50\ncurrency = "EUR"\n'
    account = load(home, ACCOUNT + more).choose_account("main")
    assert account.max_concurrency == 20
    assert account.rate_per_min == 120
    assert account.repeat_probe_max_price == Decimal("0.50")
    assert account.currency == "EUR"


def test_settings_of_dispatch_reach_the_lane(home: Path):
    text = "[dispatch]\ndoubt_share = 0.2\nmax_attempts = 3\nread_timeout_s = 30\nevidence_days = 7\n"
    text += "repeat_refusal_days = 2\n"
    configuration = load(home, ACCOUNT + text)
    settings = configuration.dispatch(configuration.choose_account(None))
    assert settings.breaker.doubt_share == 0.2
    assert settings.retry.max_attempts == 3
    assert configuration.timeouts.read_s == 30
    assert configuration.evidence_days == 7
    account = configuration.choose_account(None)
    assert configuration.dispatch(account).repeat_refusal_lasts == timedelta(days=2)


@pytest.mark.parametrize(
    ("text", "setting", "accepted"),
    [
        ("[acounts.main]\n", "acounts", "[accounts.NAME]"),
        (ACCOUNT + "max_concurency = 3\n", "accounts.main.max_concurency", "max_concurrency"),
        (ACCOUNT + "max_concurrency = 0\n", "accounts.main.max_concurrency", "1 to 1000"),
        (ACCOUNT + 'rate = "60"\n', "accounts.main.rate", "60/min"),
        (ACCOUNT + 'insecure = "yes"\n', "accounts.main.insecure", "true or false"),
        (ACCOUNT + 'key_env = "KEY"\n', "accounts.main.key", "one of key, key_env"),
        (ACCOUNT.replace("username", "user"), "accounts.main.user", "username"),
        (ACCOUNT.replace('username = "shop"\n', ""), "accounts.main.username", "text in quotes"),
        ("[dispatch]\ndoubt_share = 2\n", "dispatch.doubt_share", "at most 1"),
        ("accounts = 5\n", "accounts", "[accounts.NAME]"),
        (ACCOUNT + "read_timeout_s = 30\n", "accounts.main.read_timeout_s", "Write read_timeout_s under [dispatch]."),
        ('[dispatch]\nrate = "60/min"\n', "dispatch.rate", "Write rate under [accounts.NAME]."),
        ("doubt_share = 0.2\n", "doubt_share", "Write doubt_share under [dispatch]."),
        ("insecure = true\n", "insecure", "Write insecure under [accounts.NAME] or [[webhooks]]."),
        (ACCOUNT + "[accounts.main.dispatch]\nmax_attempts = 3\n", "accounts.main.dispatch", "Settings of"),
    ],
)
def test_what_is_unknown_or_malformed_stops_the_start_with_its_name_and_the_accepted_form(
    home: Path, text, setting, accepted
):
    error = refuse(home, text)
    assert error.data["setting"] == setting
    assert accepted in error.remedy


def test_a_file_that_is_no_toml_is_named_and_its_content_is_not(home: Path):
    error = refuse(home, ACCOUNT + "this is no toml")
    assert "config.toml" in str(error)


def test_an_unknown_variable_of_ours_stops_the_start(home: Path):
    assert refuse(home, IMEIFLOW_HOEM="x").data["setting"] == "IMEIFLOW_HOEM"


def test_a_file_with_a_key_that_others_may_read_is_refused(home: Path):
    with pytest.raises(ConfigurationError, match="can be read by others") as caught:
        load(home, ACCOUNT, mode=0o644)
    assert "chmod 600" in caught.value.remedy
    load(home, ACCOUNT.replace('key = "secret-key-1234"', 'key_env = "SHOP_KEY"'), mode=0o644)


def test_a_key_can_stand_in_a_variable_or_in_a_private_file(home: Path):
    by_variable = load(home, ACCOUNT.replace('key = "secret-key-1234"', 'key_env = "SHOP_KEY"'), SHOP_KEY="abc123")
    assert by_variable.login(by_variable.choose_account(None)).key == "abc123"
    path = home / "key"
    path.write_text("abc456\n", encoding="utf-8")
    text = ACCOUNT.replace('key = "secret-key-1234"', f'key_file = "{path}"')
    path.chmod(0o644)
    public = load(home, text)
    with pytest.raises(ConfigurationError, match="can be read by others") as caught:
        public.login(public.choose_account(None))
    assert str(path) in str(caught.value)
    assert str(home) not in caught.value.told + caught.value.told_remedy, "pages show it to all"
    assert "chmod 600 key" in caught.value.told_remedy
    path.chmod(0o600)
    assert load(home, text).secrets() == ["abc456"]


def test_a_key_that_is_missing_is_told_by_its_variable(home: Path):
    configuration = load(home, ACCOUNT.replace('key = "secret-key-1234"', 'key_env = "SHOP_KEY"'))
    with pytest.raises(ConfigurationError, match="SHOP_KEY is not set"):
        configuration.login(configuration.choose_account(None))
    assert configuration.secrets() == []


def test_with_several_accounts_one_has_to_be_named(home: Path):
    configuration = load(home, ACCOUNT, **GSM)
    with pytest.raises(ConfigurationError) as caught:
        configuration.choose_account(None)
    assert "--account main" in caught.value.remedy
    assert configuration.choose_account("main").name == "main"
    with pytest.raises(ConfigurationError, match="no account of this name"):
        configuration.choose_account("other")


def test_an_account_of_a_provider_to_come_does_not_stand_in_the_way(home: Path):
    dhru = {"DHRU_BASE_URL": "https://d.example", "DHRU_USERNAME": "d", "DHRU_API_KEY": "dhru-key"}
    assert load(home, **GSM, **dhru).choose_account(None).name == "gsm-fusion"


def test_no_account_is_told_with_what_makes_one(home: Path):
    with pytest.raises(ConfigurationError) as caught:
        load(home).choose_account(None)
    assert "GSM_FUSION_API_KEY" in caught.value.remedy
    assert "[accounts.NAME]" in caught.value.remedy


def test_the_environment_renews_an_account_of_the_file(home: Path):
    text = ACCOUNT.replace("accounts.main", "accounts.gsm-fusion").replace("secret-key-1234", "older-key")
    account = load(home, text + "max_concurrency = 9\n", **GSM).choose_account(None)
    assert (account.key, account.max_concurrency) == ("secret-key-1234", 9)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/data/ledger.sqlite", "/data/ledger.sqlite"),
        ("sqlite:////data/ledger.sqlite", "/data/ledger.sqlite"),
        ("sqlite+pysqlite:////data/l.db?timeout=3", "/data/l.db"),
    ],
)
def test_another_ledger_can_be_named(home: Path, given, path):
    assert load(home, IMEIFLOW_DATABASE_URL=given).ledger == Path(path)


@pytest.mark.parametrize("given", ["postgresql://x/y", "sqlite://", "sqlite:///:memory:", ":memory:"])
def test_a_ledger_that_would_not_survive_or_is_not_supported_is_refused(home: Path, given):
    assert refuse(home, IMEIFLOW_DATABASE_URL=given).data["setting"] == "IMEIFLOW_DATABASE_URL"


def test_a_dotenv_file_that_is_no_text_stops_the_start_with_its_name(home: Path):
    home.mkdir()
    (home / ".env").write_bytes(b"GSM_FUSION_USERNAME=\xff\xfe\n")
    assert refuse(home).data["setting"] == str(home / ".env")


@pytest.mark.parametrize(
    "address",
    ["http://example.com", "example.com", "https://", "https://shop.example:99999", "https://me:pw@shop.example"],
)
def test_a_server_that_cannot_be_meant_stops_every_start_and_is_named_as_it_was_written(home: Path, address: str):
    assert refuse(home, **{**GSM, "GSM_FUSION_BASE_URL": address}).setting == "GSM_FUSION_BASE_URL"
    assert refuse(home, ACCOUNT.replace("https://shop.example", address)).setting == "accounts.main.base_url"


def test_http_elsewhere_is_taken_where_the_account_says_so(home: Path):
    text = ACCOUNT.replace("https://shop.example", "http://shop.example") + "insecure = true\n"
    assert load(home, text).accounts["main"].insecure


def test_a_provider_that_is_not_there_stops_the_start(home: Path):
    error = refuse(home, ACCOUNT.replace("gsm-fusion", "gsm-fushion"))
    assert error.setting == "accounts.main.provider"
    assert "dhru-fusion, gsm-fusion" in error.remedy


def test_a_line_of_dotenv_that_says_nothing_stops_the_start_and_is_not_quoted(home: Path):
    home.mkdir()
    lines = [f"{name}={value}" for name, value in GSM.items()]
    (home / ".env").write_text("\n".join([*lines, "secret-key-1234 = 'open"]), encoding="utf-8")
    assert refuse(home).setting.endswith(".env, line 4")
