"""Sessions of `leadctl triage` as peter and harriet, on the running service."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from leadctl.context import Context
from leadctl.settings import Flags
from leadctl.triage.session import Session
from tests.leadctl.conftest import Client

STATES = ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")
MakeSession = Callable[..., Session]


@pytest.fixture
def make_session(client: Client, admin: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeSession]:
    """Return a function that creates peter's or harriet's session for leads, through a proxy if a URL is given."""

    contexts: list[Context] = []

    def make(ids: Sequence[int], *, user: str = "peter", url: str | None = None) -> Session:
        home = {"peter": client, "harriet": admin}[user]
        monkeypatch.setenv("HOME", str(home.home))
        for name in ("XDG_CONFIG_HOME", "LEADCTL_PROFILE", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LEADCTL_TOKEN", home.token()) if url else monkeypatch.delenv("LEADCTL_TOKEN", raising=False)
        context = Context(Flags(url or client.url))
        assert context.api
        contexts.append(context)
        return Session(context, ids, states=STATES[:1], user=user)

    yield make
    for context in contexts:
        for api in (context.api, context.anonymous_api):
            api._http._client.close()
