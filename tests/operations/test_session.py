"""Opening a ledger with its configuration: private directories, a clock that never runs back, providers by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.errors import ConfigurationError, UnknownJobError
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.session import Session, find_account_provider, make_home_private
from tests.operations.stand import ACCOUNT, add_job, answer, make_configuration, make_imei, open_session


def test_home_and_ledger_are_made_for_their_owner_alone(tmp_path: Path):
    home = tmp_path / "a" / "home"
    with open_session(home):
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "ledger.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_home_of_ours_that_others_could_enter_is_closed_to_them(tmp_path: Path):
    (tmp_path / "config.toml").touch()
    tmp_path.chmod(0o755)
    make_home_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_somebody_else_s_things_keeps_its_mode(tmp_path: Path):
    (tmp_path / "letters.txt").touch()
    tmp_path.chmod(0o755)
    make_home_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_directory_with_names_that_we_use_too_keeps_its_mode_until_our_ledger_is_in_it(tmp_path: Path):
    (tmp_path / "config.toml").touch()
    (tmp_path / "log").mkdir()
    (tmp_path / "index.html").touch()
    tmp_path.chmod(0o755)
    make_home_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    (tmp_path / "ledger.sqlite").touch()
    make_home_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_told_with_its_name(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="IMEIFLOW_HOME"):
        Session.open(make_configuration(tmp_path / "file" / "home", has_ledger=False))


def test_time_goes_on_from_the_ledger_s_newest_even_when_the_machine_s_clock_was_set_back(tmp_path: Path):
    future = datetime.now(UTC) + timedelta(days=3)
    configuration = make_configuration(tmp_path)
    with Session.open(configuration) as session:
        session.ledger.clock = SteadyClock(not_before=future).now
        add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    with Session.open(configuration) as session:
        assert session.clock.now() >= future
        assert session.ledger.clock() >= future


def test_time_goes_on_from_the_last_call_of_a_job_whose_process_was_killed(tmp_path: Path):
    """The job began long before: only its last call tells how late it was."""
    future = datetime.now(UTC) + timedelta(days=3)
    configuration = make_configuration(tmp_path)
    with Session.open(configuration) as session:
        job = add_job(session, [NewOrder(line=2, imei=make_imei(1))])
        session.ledger.clock = SteadyClock(not_before=future).now
        answer(session, job, {2: OrderState.UNCONFIRMED})
    with Session.open(configuration) as session:
        assert session.clock.now() >= future
        assert session.clock.unsure_before is not None


def test_processes_with_different_homes_share_the_locks_of_a_ledger_they_share(tmp_path: Path):
    one = make_configuration(tmp_path / "one")
    other = make_configuration(tmp_path / "two")
    shared = type(other)(home=other.home, ledger=one.ledger, accounts=other.accounts)
    with Session.open(one) as first, Session.open(shared) as second:
        lock = first.lane_lock(ACCOUNT)
        assert lock.acquire()
        assert not second.lane_lock(ACCOUNT).is_free()
        lock.release()
        assert second.lane_lock(ACCOUNT).is_free()


def test_a_draft_is_shown_to_nobody(tmp_path: Path):
    with open_session(tmp_path) as session, pytest.raises(UnknownJobError):
        session.find_job(JobId(1))


def test_a_provider_that_is_not_installed_is_told_by_the_account_s_setting(tmp_path: Path):
    account = make_configuration(tmp_path, provider="gsm-fision").choose_account(None)
    with pytest.raises(ConfigurationError) as caught:
        find_account_provider(account)
    assert caught.value.data["setting"] == f"accounts.{ACCOUNT}.provider"
    assert "gsm-fusion" in caught.value.remedy
