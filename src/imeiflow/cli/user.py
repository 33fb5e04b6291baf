"""`imeiflow user`: who may sign in to the web application, said at the server: the first one, a lost password."""

from __future__ import annotations

import sys

import click

from imeiflow.cli.frame import name_user, open_session
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import is_terminal, print_json_list, print_table, say, show_time
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.ledger.user import User
from imeiflow.operations.identity import LINK_LASTS, accept_invitation, invite_user
from imeiflow.operations.json_text import as_values
from imeiflow.operations.session import Session

_ACTIONS = ("create", "link", "list")
_LOCAL = "http://127.0.0.1:8080"


@command(
    examples="""
    imeiflow user create mia --role admin       the first one: before a server is reached from outside
    imeiflow user link mia --url https://flow.example.com      a new password, by a link that is good once
    imeiflow user list
    """
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="What a new user may do.")
@click.option("--url", default=_LOCAL, show_default=True, metavar="URL", help="What people type to reach the server.")
@json_option
def user(*, action: str, name: str | None, role: str | None, url: str, is_json: bool) -> None:
    """Make a user, give a link that sets a password anew, or list who may sign in to `imeiflow serve`.

    For whoever sits at the server: it needs no password and no browser. `create` asks for a password, or reads it from
    standard input. A link can be used once, within a day; a newer one makes it good for nothing. Roles, spending limits
    and who is shut out are changed under Settings.
    """
    with open_session(is_listing=action == "list") as session:
        match action:
            case "create":
                _create(session, _require(name), role)
            case "link":
                _link(session, _require(name), url)
            case _:
                _list(session, is_json=is_json)


def _require(name: str | None) -> str:
    if name is None or not name.strip():
        raise UsageError(problem="say which user", remedy="For example `imeiflow user create mia --role admin`.")
    return name


def _create(session: Session, name: str, role: str | None) -> None:
    is_first = session.ledger.count_users() == 0
    if role is None or (is_first and role != Role.ADMIN.value):
        problem = "the first user has to be an administrator" if is_first else "say what the user may do"
        remedy = "Say --role admin." if is_first else "--role viewer looks; operator also orders; admin may do all."
        raise UsageError(problem=problem, remedy=remedy)
    password = _read_password()
    secret = invite_user(session, role=Role(role), actor=name_user())
    made = accept_invitation(session, secret, name=name, password=password)
    say(f"{made.name} may sign in, as {made.role.value}.")


def _read_password() -> str:
    if is_terminal(sys.stdin):
        given: str = click.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
        return given
    return sys.stdin.readline().rstrip("\r\n")


def _link(session: Session, name: str, url: str) -> None:
    if not url.startswith(("https://", "http://")):
        raise UsageError(problem=f"--url: {url!r} is no address", remedy="Write it as https://flow.example.com.")
    found = _find(session, name)
    secret = invite_user(session, role=found.role, actor=name_user(), user=found.id)
    hours = LINK_LASTS.total_seconds() / 3600
    say(f"This link sets the password of {found.name}, once, within {hours:.0f} hours. Give it to nobody else:")
    click.echo(f"{url.rstrip('/')}/invitation/{secret}")


def _find(session: Session, name: str) -> User:
    users = session.ledger.list_users()
    found = next((one for one in users if one.name == name.strip().lower()), None)
    if found is None:
        shown = ", ".join(one.name for one in users)
        remedy = f"Users: {shown}." if users else "`imeiflow user create NAME --role admin` makes the first one."
        raise UsageError(problem=f"there is no user {name}", remedy=remedy)
    if found.disabled_at is not None:
        raise UsageError(problem=f"{found.name} is shut out", remedy="Let them in again under Settings.")
    return found


def _list(session: Session, *, is_json: bool) -> None:
    users = session.ledger.list_users()
    if is_json:
        print_json_list(as_values(one) for one in users)
        return
    rows = [
        [
            one.name,
            one.role.value,
            "-" if one.spend_limit is None else f"{one.spend_limit:f} a day",
            show_time(one.created_at),
            "may sign in" if one.disabled_at is None else f"shut out {show_time(one.disabled_at)}",
        ]
        for one in users
    ]
    empty = "Nobody may sign in yet. `imeiflow user create NAME --role admin` makes the first one."
    print_table(["NAME", "ROLE", "MAY SPEND", "MADE", "STATE"], rows, empty=empty)
