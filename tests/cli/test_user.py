"""`imeiflow user` and `imeiflow token`, typed at the server: who gets in, and with what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imeiflow.operations.identity import accept_invitation, check_sign_in, find_api_token
from tests.cli.typed import make_environment, run_typed
from tests.operations.stand import open_session

PASSWORD = "seven brass kettles sing"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return make_environment(tmp_path / "home")


def test_the_first_user_is_an_administrator_and_a_lost_password_is_set_anew(environment, tmp_path):
    def type_(*words: str, text: str | None = None):
        return run_typed(words, environment, text)

    assert "Nobody may sign in yet" in type_("user").stdout
    refused = type_("user", "create", "otto", "--role", "operator", text=PASSWORD)
    assert refused.returncode == 2
    assert "has to be an administrator" in refused.stderr
    short = type_("user", "create", "mia", "--role", "admin", text="short\n")
    assert short.returncode == 2
    assert "short" not in short.stdout
    made = type_("user", "create", "Mia", "--role", "admin", text=f"{PASSWORD}\n")
    assert (made.returncode, made.stdout) == (0, "")
    assert "mia may sign in, as admin." in made.stderr
    assert type_("user", "create", "mia", "--role", "viewer", text=PASSWORD).returncode != 0
    (told,) = json.loads(type_("user", "list", "--json").stdout)
    assert (told["name"], told["role"]) == ("mia", "admin")
    assert "password" not in told
    unknown = type_("user", "link", "vera")
    assert unknown.returncode == 2
    assert "Users: mia." in unknown.stderr
    first, second = (type_("user", "link", "mia", "--url", "https://flow.example.com/").stdout for _ in range(2))
    assert first.startswith("https://flow.example.com/invitation/")
    with open_session(tmp_path / "home") as session:
        assert check_sign_in(session, "mia", PASSWORD).name == "mia"
        with pytest.raises(Exception, match="link"):
            accept_invitation(session, first.strip().rpartition("/")[2], name="", password="another brass kettle")
        accept_invitation(session, second.strip().rpartition("/")[2], name="", password="another brass kettle")
        assert check_sign_in(session, "mia", "another brass kettle").name == "mia"


def test_a_token_of_the_command_line_is_no_user_s_though_one_has_the_name_of_whoever_types(environment, tmp_path):
    environment["LOGNAME"] = "otto"
    for name in ("mia", "otto"):
        assert run_typed(("user", "create", name, "--role", "admin"), environment, PASSWORD).returncode == 0
    assert run_typed(("token", "create", "till", "--user", "mia", "--scope", "order"), environment).returncode == 0
    with open_session(tmp_path / "home") as session:
        otto, _ = session.ledger.find_user("otto")
        assert [one.actor for one in session.ledger.recent_events(kinds=["token_created"])] == ["otto"]
        session.ledger.change_user(otto.id, actor="mia", disabled_at=session.clock.now())
        (token,) = session.ledger.list_api_tokens()
        assert (token.created_by, token.revoked_at) == (None, None)


def test_a_token_is_made_shown_once_listed_and_revoked(environment, tmp_path):
    def type_(*words: str, text: str | None = None):
        return run_typed(words, environment, text)

    nobody = type_("token", "create", "warehouse", "--scope", "read")
    assert nobody.returncode == 2
    assert "there is no user yet" in nobody.stderr
    type_("user", "create", "mia", "--role", "admin", text=PASSWORD)
    type_("user", "create", "vera", "--role", "viewer", text=PASSWORD)
    for words, said in (
        (("create", "warehouse", "--user", "mia"), "what the token may do"),
        (("create", "--user", "mia", "--scope", "read"), "what the token is called"),
        (("create", "warehouse", "--scope", "read"), "--user mia"),
        (("create", "warehouse", "--user", "vera", "--scope", "order"), "needs the role operator"),
        (("create", "warehouse", "--user", "nobody", "--scope", "read"), "there is no user nobody"),
        (("revoke",), "the number of a token"),
        (("revoke", "77"), "there is no token 77"),
    ):
        done = type_("token", *words)
        assert done.returncode == 2, words
        assert said in done.stderr
    made = type_("token", "create", "warehouse", "--user", "mia", "--scope", "order", "--days", "90", "--json")
    told = json.loads(made.stdout)
    assert told["scopes"] == ["order"]
    with open_session(tmp_path / "home") as session:
        assert find_api_token(session, told["token"]) is not None
    listed = type_("token", "list").stdout
    assert told["token"] not in listed
    assert f"…{told['token'][-4:]}" in listed
    (row,) = json.loads(type_("token", "--json").stdout)
    assert "digest" not in row
    assert type_("token", "revoke", str(row["id"])).returncode == 0
    assert type_("token", "revoke", str(row["id"])).returncode == 2
    with open_session(tmp_path / "home") as session:
        assert find_api_token(session, told["token"]) is None
