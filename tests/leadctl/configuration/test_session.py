"""Tokens of running commands: renewal, and changes by other processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from leadctl.api import Api
from leadctl.configuration.credentials import Credentials, Profile
from leadctl.configuration.session import RENEW_WITHIN_S, Session
from leadctl.connections import connect
from leadctl.errors import PermissionDenied
from leadctl.http import Http
from tests.leadctl.commands.test_login import credentials_file
from tests.leadctl.conftest import Client
from tests.leadctl.test_http import listening


def stored(credentials: Credentials) -> Profile:
    profile = credentials.current
    assert profile
    return profile


class Running:
    """A session with a changed copy of the stored profile."""

    def __init__(self, client: Client, http: Http, **changes: Any) -> None:
        self.credentials = Credentials(credentials_file(client).parent)
        self.profile = replace(stored(self.credentials), **changes)
        self.credentials.save(self.profile, make_current=True)
        self.session = Session(self.profile, self.credentials, lambda: Api(http))


@contextmanager
def running(client: Client, *, url: str | None = None, **changes: Any) -> Iterator[Running]:
    url = url or client.url
    with connect(url, auth=None, cacert=None, insecure_http=False) as connection:
        yield Running(client, Http(url, connection, info=print), **changes)


def test_a_token_is_renewed_once_in_its_last_ten_minutes(client: Client) -> None:
    with running(client, expires_at=time.time() + RENEW_WITHIN_S + 1) as run:
        assert run.session.token() == run.profile.token
        time.sleep(1.1)
        renewed = run.session.token()
        assert renewed != run.profile.token
        assert run.session.token() == renewed == stored(run.credentials).token


def test_a_token_renewed_by_another_process_is_used(client: Client) -> None:
    with running(client, expires_at=time.time() + 60) as run:
        run.credentials.save(replace(run.profile, token="another", expires_at=time.time() + 1800), make_current=False)
        assert run.session.token() == "another"


def test_a_refused_token_is_replaced_by_the_stored_one(client: Client) -> None:
    with running(client) as run:
        assert run.profile.token is not None
        assert run.session.replacement_for(run.profile.token) is None
        run.credentials.save(replace(run.profile, token="another"), make_current=False)
        assert run.session.replacement_for(run.profile.token) == "another"
        assert run.session.replacement_for("one that another thread showed") == "another"


@pytest.mark.parametrize("changes", [{"token": None}, {"username": "harriet"}])
def test_a_concurrent_logout_or_login_is_not_overwritten(client: Client, changes: dict[str, Any]) -> None:
    with running(client, expires_at=time.time() + 60) as run:
        time.sleep(1.1)
        run.credentials.save(replace(run.profile, **changes), make_current=True)
        assert run.session.token() != run.profile.token, "this run continues"
        profile = stored(run.credentials)
    assert {name: getattr(profile, name) for name in changes} == changes
    assert profile.token in (None, run.profile.token)


def test_a_valid_token_is_used_if_renewal_fails(client: Client) -> None:
    with listening() as server, running(client, url=server.url, expires_at=time.time() + 3) as run:
        assert [run.session.token() for _ in range(5)] == [run.profile.token] * 5
        assert len(server.heard) == 1, "renewal failed, and is not tried with each request"
        time.sleep(3.1)
        with pytest.raises(PermissionDenied, match="has ended; run: leadctl login"):
            run.session.token()
