"""Which account a client works for, and with which settings. Contacts nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from imeiflow.domain.ident import AccountName
from imeiflow.errors import ConfigurationError
from imeiflow.operations.account import VARIABLES, AccountSettings
from imeiflow.operations.configuration import HOME_VARIABLE, Configuration, load_configuration

_PROVIDER = "gsm-fusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a program says about its login instead of configuring it; None is taken from the environment or `.env`."""

    base_url: str | None = None
    username: str | None = None
    key: str | None = field(default=None, repr=False)
    insecure: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """Give the variables of the environment that say the same. They hold the key."""
        values = (self.base_url, self.username, self.key)
        return {name: value for name, value in zip(VARIABLES[_PROVIDER], values, strict=True) if value is not None}


def choose_account(name: str | None, login: Login, home: Path | str | None) -> tuple[Configuration, AccountSettings]:
    """Choose the account called `name`, the one that `login` describes, the environment's, or the only one.

    Raises ConfigurationError, naming the setting that is missing or wrong.
    """
    environ = dict(os.environ) if home is None else {**os.environ, HOME_VARIABLE: str(home)}
    if login.variables:
        if name is not None:
            raise ConfigurationError(setting="account", problem="an account's name and a login were both given")
        return _describe_account(environ, login)
    configuration = load_configuration(environ, is_login_elsewhere=True)
    if name is None and all(configuration.environ.get(variable) for variable in VARIABLES[_PROVIDER]):
        name = _PROVIDER
    account = configuration.choose_account(name)
    return _complete(configuration, replace(account, insecure=account.insecure or login.insecure))


def _describe_account(environ: Mapping[str, str], login: Login) -> tuple[Configuration, AccountSettings]:
    """Give the account of a login: under the name by which it is configured, or one of its own.

    Two logins must not share a name: what was ordered before, and what a provider allows, is remembered by it.
    """
    configuration = load_configuration({**environ, **login.variables}, is_login_elsewhere=True)
    account = configuration.accounts[AccountName(_PROVIDER)]
    account = replace(account, insecure=account.insecure or login.insecure)
    try:
        known = load_configuration(environ, is_login_elsewhere=True).accounts
    except ConfigurationError:  # only some of the variables are set: the login said the others
        known = {}
    for other in known.values():
        if _is_same_login(other, account):
            return _complete(configuration, replace(account, name=other.name))
    host = urlsplit(account.base_url).netloc.rpartition("@")[2] or account.base_url
    return _complete(configuration, replace(account, name=AccountName(f"{account.username}@{host}")))


def _is_same_login(one: AccountSettings, other: AccountSettings) -> bool:
    is_same_place = one.base_url.rstrip("/").lower() == other.base_url.rstrip("/").lower()
    return one.provider == other.provider and is_same_place and one.username == other.username


def _complete(configuration: Configuration, account: AccountSettings) -> tuple[Configuration, AccountSettings]:
    accounts = {**configuration.accounts, account.name: account}
    return replace(configuration, accounts=accounts), account
