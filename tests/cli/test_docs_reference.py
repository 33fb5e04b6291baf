"""The reference pages say what the code does: every option, every setting, every default."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from imeiflow.dispatch.breaker import BreakerPolicy
from imeiflow.domain.decision import RetryPolicy
from imeiflow.domain.notice import Told
from imeiflow.operations.account import FORMS, PLANNED, VARIABLES, AccountSettings
from imeiflow.operations.configuration import (
    CONFIG_NAME,
    DATABASE_VARIABLE,
    DISPATCH_FORMS,
    HOME_VARIABLE,
    LEDGER_NAME,
    Configuration,
    load_configuration,
)
from imeiflow.operations.webhook import FORMS as WEBHOOK_FORMS
from imeiflow.providers.contract import Timeouts
from tests.cli.reference import PAGE, write_reference

CONFIGURATION = (PAGE.parent / "configuration.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z_]+)` \| (.+) \|$", re.MULTILINE)


def rows_of(heading: str) -> dict[str, str]:
    part = CONFIGURATION.split(f"## {heading}\n")[1].split("\n## ")[0]
    return dict(ROW.findall(part))


def defaults_of(kind: type) -> dict[str, Any]:
    return {field.name: field.default for field in fields(kind)}


def test_the_command_line_s_page_is_what_the_commands_say():
    """When this fails: `python -m tests.cli.reference` writes the page anew."""
    assert PAGE.read_text(encoding="utf-8") == write_reference()


def test_every_setting_of_an_account_is_explained_and_no_other():
    assert list(rows_of("Accounts")) == list(FORMS)


def test_every_setting_of_dispatch_is_explained_and_no_other():
    assert list(rows_of("Dispatch")) == list(DISPATCH_FORMS)


def test_every_setting_of_a_webhook_is_explained_and_no_other():
    rows = rows_of("Webhooks")
    assert list(rows) == list(WEBHOOK_FORMS)
    assert set(re.findall(r'`"([a-z.]+)"`', rows["events"])) == set(Told)


def test_every_variable_is_explained():
    for name in (HOME_VARIABLE, DATABASE_VARIABLE, *(one for three in VARIABLES.values() for one in three)):
        assert f"`{name}`" in CONFIGURATION
    for account in VARIABLES:
        assert f"`{account}`" in CONFIGURATION
    assert {"dhru-fusion"} == PLANNED
    assert "does not speak to it yet" in CONFIGURATION


def test_the_defaults_are_those_of_the_code():
    breaker, timeouts = defaults_of(BreakerPolicy), defaults_of(Timeouts)
    expected = {
        **{name: breaker[name] for name in breaker},
        **{f"{name.removesuffix('_s')}_timeout_s": timeouts[name] for name in timeouts},
        "max_attempts": RetryPolicy().max_attempts,
        "evidence_days": defaults_of(Configuration)["evidence_days"],
        "price_max_age_s": defaults_of(Configuration)["price_max_age_s"],
        "repeat_refusal_days": defaults_of(Configuration)["repeat_refusal_days"],
    }
    for name, text in rows_of("Dispatch").items():
        assert float(text.rsplit("default ", 1)[1]) == float(expected[name]), name
    account = defaults_of(AccountSettings)
    for name in ("max_concurrency", "repeat_probe_max_price"):
        assert rows_of("Accounts")[name].endswith(f"default {account[name]}")
    assert account["rate_per_min"] is None
    assert account["insecure"] is False


def test_the_example_is_an_account_that_can_be_read(tmp_path: Path):
    example = CONFIGURATION.split("```toml\n")[1].split("```")[0]
    (tmp_path / CONFIG_NAME).write_text(example, encoding="utf-8")
    configuration = load_configuration({HOME_VARIABLE: str(tmp_path), "SHOP_KEY": "abc123"}, directory=tmp_path)
    assert configuration.login(configuration.choose_account("main")).key == "abc123"


def test_the_files_are_named_as_they_are():
    for name in (CONFIG_NAME, LEDGER_NAME, "lanes/", "jobs/", "webhooks/", "log/"):
        assert f"`{name}`" in CONFIGURATION
