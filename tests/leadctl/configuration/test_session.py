"""A token while a command runs on: renewed in time, replaced by another process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from leadctl.api import Api
from leadctl.configuration.credentials import Credentials
from leadctl.configuration.session import RENEW_WITHIN_S, Session
from leadctl.errors import PermissionDenied
from leadctl.http import Http
from tests.leadctl.commands.test_login import kept_file
from tests.leadctl.conftest import Office
from tests.leadctl.test_http import listening


class Running:
    """What a command has of the office's login, and the same as it is kept, both with some changes."""

    def __init__(self, office: Office, http: Http, **changes: Any) -> None:
        self.credentials = Credentials(kept_file(office).parent)
        self.profile = replace(self.credentials.at(office.url), **changes)
        self.credentials.keep(self.profile, as_current=True)
        self.session = Session(self.profile, self.credentials, lambda: Api(http))


@contextmanager
def running(office: Office, *, url: str | None = None, **changes: Any) -> Iterator[Running]:
    http = Http(url or office.url, bearer=None, cacert=None, insecure_http=False, say=print)
    try:
        yield Running(office, http, **changes)
    finally:
        http.close()


def test_a_run_that_reaches_the_last_ten_minutes_renews_its_token_once(office: Office) -> None:
    with running(office, expires_at=time.time() + RENEW_WITHIN_S + 1) as run:
        assert run.session.token() == run.profile.token
        time.sleep(1.1)
        renewed = run.session.token()
        assert renewed != run.profile.token
        assert run.session.token() == renewed == run.credentials.at(office.url).token


def test_a_token_that_another_process_renewed_is_taken(office: Office) -> None:
    with running(office, expires_at=time.time() + 60) as run:
        run.credentials.keep(replace(run.profile, token="another", expires_at=time.time() + 1800), as_current=False)
        assert run.session.token() == "another"


def test_a_token_that_was_refused_gives_way_to_one_that_is_kept_by_now(office: Office) -> None:
    with running(office) as run:
        assert run.profile.token is not None
        assert run.session.another(run.profile.token) is None
        run.credentials.keep(replace(run.profile, token="another"), as_current=False)
        assert run.session.another(run.profile.token) == "another"
        assert run.session.another("one that another thread showed") == "another"


@pytest.mark.parametrize("changes", [{"token": None}, {"username": "harriet"}])
def test_a_logout_or_another_login_in_the_meantime_counts(office: Office, changes: dict[str, Any]) -> None:
    with running(office, expires_at=time.time() + 60) as run:
        time.sleep(1.1)
        run.credentials.keep(replace(run.profile, **changes), as_current=True)
        assert run.session.token() != run.profile.token, "this run goes on"
        kept = run.credentials.at(office.url)
    assert {name: getattr(kept, name) for name in changes} == changes
    assert kept.token in (None, run.profile.token)


def test_what_is_left_will_do_where_it_can_not_be_renewed_now(office: Office) -> None:
    with listening() as server, running(office, url=server.url, expires_at=time.time() + 3) as run:
        assert [run.session.token() for _ in range(5)] == [run.profile.token] * 5
        assert len(server.heard) == 1, "it knows of no renewal, and is not asked with each request"
        time.sleep(3.1)
        with pytest.raises(PermissionDenied, match="log in again"):
            run.session.token()
