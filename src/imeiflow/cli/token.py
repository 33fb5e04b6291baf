"""`imeiflow token`: how programs get in to the REST API: made, shown once, listed, revoked."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from imeiflow.cli.frame import name_user, open_session
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import print_json, print_json_list, print_table, say, show_time
from imeiflow.domain.user import Scope
from imeiflow.errors import UsageError
from imeiflow.ledger.user import ApiToken, User
from imeiflow.operations.identity import create_api_token
from imeiflow.operations.json_text import as_values, clean
from imeiflow.operations.session import Session

_ACTIONS = ("create", "list", "revoke")
_LONGEST_NAME = 80


@command(
    examples="""
    imeiflow token create warehouse --scope read
    imeiflow token create warehouse --user mia --scope order --scope settle --days 90
    imeiflow token list
    imeiflow token revoke 3
    """
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list")
@click.argument("what", required=False, metavar="[NAME|ID]")
@click.option("--user", metavar="NAME", help="Whose it is: it may never do more than that user.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; repeatable. Each may read; order: jobs; settle: unconfirmed orders; admin: all.",
)
@click.option("--days", type=click.IntRange(1, 3650), metavar="N", help="It ends after so many days; otherwise never.")
@json_option
def token(
    *, action: str, what: str | None, user: str | None, scopes: tuple[str, ...], days: int | None, is_json: bool
) -> None:
    """Make, list or revoke tokens, with which programs use the REST API of `imeiflow serve`.

    A token is shown once, when it is made, and kept as a digest only. Whoever has it can do what its scopes say: give
    it by a variable (IMEIFLOW_TOKEN), not on a command line.
    """
    with open_session() as session:
        match action:
            case "create":
                _create(session, what, user, scopes, days, is_json=is_json)
            case "revoke":
                _revoke(session, what)
            case _:
                _list(session, is_json=is_json)


def _create(
    session: Session, name: str | None, user: str | None, scopes: tuple[str, ...], days: int | None, *, is_json: bool
) -> None:
    if name is None or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(
            problem="say what the token is called", remedy="For example `imeiflow token create warehouse --scope read`."
        )
    if not scopes:
        remedy = "--scope read looks; order also orders; settle also settles doubts; admin may do all."
        raise UsageError(problem="say what the token may do", remedy=remedy)
    owner = _choose_user(session, user)
    chosen = [scope for scope in Scope if scope in scopes]
    lacking = next((scope for scope in chosen if not owner.role.allows(scope.role)), None)
    if lacking is not None:
        raise UsageError(
            problem=f"the scope {lacking.value} needs the role {lacking.role.value}; {owner.name} is {owner.role}",
            remedy="Make it for a user who may do it, with --user.",
        )
    ends_at: datetime | None = None if days is None else session.clock.now() + timedelta(days=days)
    secret = create_api_token(session, owner, name=name, scopes=chosen, expires_at=ends_at, actor=name_user())
    if is_json:
        told = {"token": secret, "name": name, "user": owner.name, "scopes": chosen, "expires_at": ends_at}
        print_json(told)
        return
    say(f"This is the token of {clean(name)}, for {owner.name}. It is shown this once:")
    click.echo(secret)


def _choose_user(session: Session, name: str | None) -> User:
    users = [one for one in session.ledger.list_users() if one.disabled_at is None]
    if name is not None:
        found = next((one for one in users if one.name == name.strip().lower()), None)
        if found is None:
            shown = ", ".join(one.name for one in users)
            raise UsageError(problem=f"there is no user {name}", remedy=f"Users: {shown}." if users else _NO_USER)
        return found
    if len(users) != 1:
        remedy = f"Say whose: {', '.join(f'--user {one.name}' for one in users)}." if users else _NO_USER
        raise UsageError(problem=f"there are {len(users)} users" if users else "there is no user yet", remedy=remedy)
    return users[0]


_NO_USER = "`imeiflow user create NAME --role admin` makes the first one."


def _revoke(session: Session, what: str | None) -> None:
    if what is None or not (what.isdecimal() and what.isascii() and len(what) < 18):
        raise UsageError(problem="give the number of a token", remedy="`imeiflow token list` lists them.")
    if not session.ledger.revoke_api_token(int(what), actor=name_user()):
        raise UsageError(problem=f"there is no token {what} that could be revoked", remedy="`imeiflow token list`.")
    say(f"Token {what} is revoked: it is good for nothing any more.")


def _list(session: Session, *, is_json: bool) -> None:
    found = session.ledger.list_api_tokens()
    if is_json:
        print_json_list({**as_values(one, "user"), "user": one.user.name} for one in found)
        return
    rows = [
        [
            str(one.id),
            one.name,
            one.user.name,
            " ".join(one.scopes),
            f"…{one.hint}",
            show_time(one.created_at),
            show_time(one.used_at),
            _tell_state(session, one),
        ]
        for one in found
    ]
    headings = ["ID", "NAME", "USER", "SCOPES", "ENDS ON", "MADE", "LAST USED", "STATE"]
    print_table(headings, rows, right=(0,), empty="There are no tokens. `imeiflow token create NAME` makes one.")


def _tell_state(session: Session, one: ApiToken) -> str:
    if one.revoked_at is not None:
        return f"revoked {show_time(one.revoked_at)}"
    if one.user.disabled_at is not None:
        return "its user is disabled"
    if one.expires_at is None:
        return "good"
    is_over = one.expires_at <= session.clock.now()
    return f"{'over since' if is_over else 'good until'} {show_time(one.expires_at)}"
