"""Who uses the web application: users, their sessions, tokens, and the links that let them in.

Keeps digests of secrets, never the secrets. Every change is in the log of events, with who made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Update, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from imeiflow.domain.ident import UserId
from imeiflow.domain.user import Role
from imeiflow.errors import LedgerBusyError, LedgerFullError
from imeiflow.ledger.access import Access
from imeiflow.ledger.dialect import AnyRow
from imeiflow.ledger.identity_schema import api_token, invitation, users, web_session
from imeiflow.ledger.log import write_event
from imeiflow.ledger.user import (
    ApiToken,
    Invitation,
    LastAdminError,
    NameTakenError,
    SpentLinkError,
    TokenTakenError,
    User,
    WebSession,
    prefixed,
    read_session,
    read_token,
    read_user,
)

#: Who makes the link for the first user.
NOBODY = "start"

_SEEN_EVERY = timedelta(minutes=1)


class Identities(Access):
    """The part of the ledger that knows who may use it."""

    def count_users(self) -> int:
        """Count the users who may sign in."""
        with self._read() as connection:
            query = select(func.count()).select_from(users).where(users.c.disabled_at.is_(None))
            return connection.execute(query).scalar_one()

    def list_users(self) -> list[User]:
        """List all users by name, those who may not sign in any more included."""
        with self._read() as connection:
            return [read_user(row) for row in connection.execute(select(users).order_by(users.c.name))]

    def find_user(self, name: str) -> tuple[User, str] | None:
        """Find a user who may sign in, and the hash of the password."""
        query = select(users).where(users.c.name == name, users.c.disabled_at.is_(None))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else (read_user(row), row.password_hash)

    def create_invitation(
        self, digest: str, *, role: Role, actor: str, expires_at: datetime, user: UserId | None = None
    ) -> None:
        """Keep a one-time link; those that the same actor made for the same user before are good for nothing now."""
        now = self.clock()
        values = {
            "digest": digest,
            "role": role.value,
            "user_id": user,
            "created_by": actor,
            "created_at": now,
            "expires_at": expires_at,
        }

        def create(connection: Connection) -> None:
            if user is not None or actor == NOBODY:
                _spend_links(connection, now, invitation.c.created_by == actor, invitation.c.user_id == user)
            connection.execute(insert(invitation).values(values))
            data = {"role": role.value, "user": user}
            write_event(connection, "user_invited", at=now, data=data, actor=actor)

        self._write(create)

    def find_invitation(self, digest: str) -> Invitation | None:
        """Find a one-time link that can still be used."""
        with self._read() as connection:
            return self._find_invitation(connection, digest)

    def list_invitations(self) -> list[Invitation]:
        """List the one-time links that can still be used, the newest first."""
        query = self._open_invitations().order_by(invitation.c.created_at.desc(), invitation.c.digest)
        with self._read() as connection:
            return [_read_invitation(row) for row in connection.execute(query)]

    def revoke_invitation(self, digest: str, *, actor: str) -> bool:
        """Let a one-time link be used no more; say whether there was one."""
        now = self.clock()

        def revoke(connection: Connection) -> bool:
            is_done = _spend_links(connection, now, invitation.c.digest == digest) == 1
            if is_done:
                write_event(connection, "link_revoked", at=now, actor=actor)
            return is_done

        return self._write(revoke)

    def accept_invitation(self, digest: str, *, name: str, password_hash: str) -> User:
        """Use a one-time link: make the user, or set the password anew and end the user's sessions.

        Raises SpentLinkError, NameTakenError; nothing has changed then.
        """
        now = self.clock()

        def accept(connection: Connection) -> User:
            found = self._find_invitation(connection, digest)
            if found is None or _spend_links(connection, now, invitation.c.digest == digest) != 1:
                raise SpentLinkError
            if found.user is not None:
                values = {"password_hash": password_hash, "password_at": now}
                connection.execute(update(users).where(users.c.id == found.user.id).values(values))
                _shut_ways_in(connection, found.user.id, found.user.name, now)
                write_event(connection, "password_set", at=now, actor=found.user.name)
                return found.user
            return self._create_user(connection, name, found.role, password_hash, now)

        return self._write(accept)

    def change_user(self, user: UserId, *, actor: str, **values: Any) -> None:
        """Change a user's role, spend_limit, password_hash or disabled_at.

        All but another limit signs the user out, and spends the links that they made or that set their password. Being
        disabled also revokes their tokens; with the role of an administrator end those that they made for others, whose
        secrets they know. Raises LastAdminError where nobody would be left to administer.
        """
        now = self.clock()
        stored = {**values, **({"password_at": now} if "password_hash" in values else {})}
        if isinstance(stored.get("role"), Role):
            stored["role"] = stored["role"].value

        def change(connection: Connection) -> None:
            connection.execute(update(users).where(users.c.id == user).values(stored))
            name = connection.execute(select(users.c.name).where(users.c.id == user)).scalar_one()
            admins = select(func.count()).where(users.c.role == Role.ADMIN.value, users.c.disabled_at.is_(None))
            if {"role", "disabled_at"} & set(values) and connection.execute(admins).scalar_one() == 0:
                raise LastAdminError(name=name)
            if {"role", "password_hash", "disabled_at"} & set(values):
                _shut_ways_in(connection, user, name, now)
            is_disabled = values.get("disabled_at") is not None
            if is_disabled:
                _revoke_tokens(connection, actor, now, api_token.c.user_id == user)
            if is_disabled or values.get("role", Role.ADMIN) != Role.ADMIN:
                _revoke_tokens(connection, actor, now, api_token.c.user_id != user, api_token.c.created_by == name)
            told = {key: str(value) for key, value in values.items() if key != "password_hash"}
            write_event(connection, "user_changed", at=now, actor=actor, data={"user": name, **told})

        self._write(change)

    def rehash_password(self, user: UserId, password_hash: str) -> None:
        """Keep the same password by a better hash; nobody is signed out."""
        query = update(users).where(users.c.id == user).values(password_hash=password_hash)
        self._write(lambda c: c.execute(query))

    def open_web_session(
        self, digest: str, user: UserId, *, csrf: str, expires_at: datetime, address: str, agent: str
    ) -> None:
        """Keep a session that has begun."""
        now = self.clock()
        values = {
            "digest": digest,
            "user_id": user,
            "csrf": csrf,
            "created_at": now,
            "seen_at": now,
            "expires_at": expires_at,
            "address": address,
            "agent": agent,
        }
        self._write(lambda c: c.execute(insert(web_session).values(values)))

    def find_web_session(self, digest: str, *, idle: timedelta, is_seen: bool = True) -> WebSession | None:
        """Find a session that is neither over nor idle for too long, and note that it was seen, unless nobody looks."""
        now = self.clock()
        found = self._list_sessions(
            web_session.c.digest == digest, web_session.c.expires_at > now, web_session.c.seen_at > now - idle
        )
        if not found:
            return None
        if is_seen and now - found[0].seen_at > _SEEN_EVERY:
            self._note(update(web_session).where(web_session.c.digest == digest).values(seen_at=now))
        return found[0]

    def list_web_sessions(self, user: UserId) -> list[WebSession]:
        """List a user's sessions that are not over, the last seen first."""
        return self._list_sessions(web_session.c.user_id == user, web_session.c.expires_at > self.clock())

    def close_web_sessions(self, user: UserId, *, actor: str, only: str | None = None, but: str | None = None) -> int:
        """End a user's sessions (`only` one, or all `but` one), and count them. Those that are over go too."""
        query = delete(web_session).where(web_session.c.user_id == user)
        if only is not None:
            query = query.where(web_session.c.digest == only)
        if but is not None:
            query = query.where(web_session.c.digest != but)
        now = self.clock()
        old = delete(web_session).where(web_session.c.expires_at < now)

        def close(connection: Connection) -> int:
            count = connection.execute(query).rowcount
            connection.execute(old)
            write_event(connection, "signed_out", at=now, actor=actor, data={"user": user, "count": count})
            return count

        return self._write(close)

    def create_api_token(
        self,
        user: UserId,
        *,
        digest: str,
        hint: str,
        name: str,
        scopes: Sequence[str],
        expires_at: datetime | None,
        actor: str,
        maker: str | None = None,
        is_sole: bool = False,
    ) -> None:
        """Keep a token; `maker` is the user who makes it, if one does.

        `is_sole`: raises TokenTakenError where the user has a good one of that name.
        """
        now = self.clock()
        same = (
            select(users.c.name)
            .join(api_token, api_token.c.user_id == users.c.id)
            .where(users.c.id == user, api_token.c.name == name, *_good_tokens(now))
        )
        values = {
            "user_id": user,
            "name": name,
            "digest": digest,
            "hint": hint,
            "scopes": list(scopes),
            "created_at": now,
            "expires_at": expires_at,
            "created_by": maker,
        }

        def create(connection: Connection) -> None:
            owner = connection.execute(same).scalars().first() if is_sole else None
            if owner is not None:
                raise TokenTakenError(user=owner, name=name)
            connection.execute(insert(api_token).values(values))
            data = {"name": name, "scopes": list(scopes)}
            write_event(connection, "token_created", at=now, actor=actor, data=data)

        self._write(create)

    def find_api_token(self, digest: str) -> ApiToken | None:
        """Find a token that is neither revoked nor over, of a user who may sign in; notes that it was used."""
        now = self.clock()
        found = self._list_tokens(api_token.c.digest == digest, *_good_tokens(now), users.c.disabled_at.is_(None))
        if not found:
            return None
        if found[0].used_at is None or now - found[0].used_at > _SEEN_EVERY:
            self._note(update(api_token).where(api_token.c.digest == digest).values(used_at=now))
        return found[0]

    def is_good_token(self, token: int) -> bool:
        """Say whether a token is neither revoked nor over, and its user may sign in."""
        return bool(
            self._list_tokens(api_token.c.id == token, *_good_tokens(self.clock()), users.c.disabled_at.is_(None))
        )

    def list_api_tokens(self, user: UserId | None = None) -> list[ApiToken]:
        """List the tokens of a user, or of all, newest first, revoked ones included."""
        return self._list_tokens(*([] if user is None else [api_token.c.user_id == user]))

    def revoke_api_token(self, token: int, *, actor: str, user: UserId | None = None) -> bool:
        """Revoke a token (only of `user`, where given); say whether there was one to revoke."""
        now = self.clock()
        query = update(api_token).where(api_token.c.id == token, api_token.c.revoked_at.is_(None))
        if user is not None:
            query = query.where(api_token.c.user_id == user)

        def revoke(connection: Connection) -> bool:
            is_done = connection.execute(query.values(revoked_at=now)).rowcount == 1
            if is_done:
                write_event(connection, "token_revoked", at=now, actor=actor, data={"token": token})
            return is_done

        return self._write(revoke)

    def _find_invitation(self, connection: Connection, digest: str) -> Invitation | None:
        row = connection.execute(self._open_invitations().where(invitation.c.digest == digest)).one_or_none()
        return None if row is None else _read_invitation(row)

    def _open_invitations(self) -> Select[Any]:
        return (
            select(users, *prefixed(invitation, "link"))
            .select_from(invitation.outerjoin(users, users.c.id == invitation.c.user_id))
            .where(invitation.c.used_at.is_(None), invitation.c.expires_at > self.clock())
        )

    def _note(self, query: Update) -> None:
        """Note what is good to know: where it cannot be written just now, nobody is kept from looking for it."""
        with suppress(LedgerBusyError, LedgerFullError):
            self._write(lambda c: c.execute(query))

    def _create_user(self, connection: Connection, name: str, role: Role, password_hash: str, at: datetime) -> User:
        values = {
            "name": name,
            "role": role.value,
            "password_hash": password_hash,
            "created_at": at,
            "password_at": at,
        }
        if connection.execute(select(users.c.id).where(users.c.name == name)).scalar() is not None:
            raise NameTakenError(name=name)
        try:
            key = connection.execute(insert(users).values(values)).inserted_primary_key
        except IntegrityError:
            raise NameTakenError(name=name) from None
        _spend_links(connection, at, invitation.c.created_by == NOBODY)  # it is for the first user alone
        write_event(connection, "user_created", at=at, actor=name, data={"user": name, "role": role.value})
        return User(
            id=UserId(key[0]),  # type: ignore[index]
            name=name,
            role=role,
            spend_limit=None,
            created_at=at,
            disabled_at=None,
        )

    def _list_sessions(self, *conditions: ColumnElement[bool]) -> list[WebSession]:
        query = (
            select(users, *prefixed(web_session, "session"))
            .join(users, users.c.id == web_session.c.user_id)
            .where(users.c.disabled_at.is_(None), *conditions)
            .order_by(web_session.c.seen_at.desc())
        )
        with self._read() as connection:
            return [read_session(row) for row in connection.execute(query)]

    def _list_tokens(self, *conditions: ColumnElement[bool]) -> list[ApiToken]:
        query = (
            select(users, *prefixed(api_token, "token"))
            .join(users, users.c.id == api_token.c.user_id)
            .where(*conditions)
            .order_by(api_token.c.id.desc())
        )
        with self._read() as connection:
            return [read_token(row) for row in connection.execute(query)]


def _good_tokens(now: datetime) -> tuple[ColumnElement[bool], ...]:
    is_not_over = or_(api_token.c.expires_at.is_(None), api_token.c.expires_at > now)
    return api_token.c.revoked_at.is_(None), is_not_over


def _spend_links(connection: Connection, at: datetime, *which: ColumnElement[bool]) -> int:
    """Let the links be used no more that still can be, and count them."""
    query = update(invitation).where(invitation.c.used_at.is_(None), *which)
    return connection.execute(query.values(used_at=at)).rowcount


def _shut_ways_in(connection: Connection, user: UserId, name: str, at: datetime) -> None:
    """End a user's sessions, and spend the links that they made and those that set their password."""
    connection.execute(delete(web_session).where(web_session.c.user_id == user))
    _spend_links(connection, at, or_(invitation.c.created_by == name, invitation.c.user_id == user))


def _revoke_tokens(connection: Connection, actor: str, at: datetime, *which: ColumnElement[bool]) -> None:
    """Revoke tokens for good: whatever becomes of the role, they stay revoked."""
    good = select(api_token.c.id).where(api_token.c.revoked_at.is_(None), *which)
    for token in connection.execute(good.order_by(api_token.c.id)).scalars().all():
        connection.execute(update(api_token).where(api_token.c.id == token).values(revoked_at=at))
        write_event(connection, "token_revoked", at=at, actor=actor, data={"token": token})


def _read_invitation(row: AnyRow) -> Invitation:
    return Invitation(
        digest=row.link_digest,
        role=Role(row.link_role),
        user=None if row.link_user_id is None else read_user(row),
        created_by=row.link_created_by,
        created_at=row.link_created_at,
        expires_at=row.link_expires_at,
    )
