"""The Python client of docs/clients.md."""

import sys
from pathlib import Path

import pytest

from tests import client_examples
from tests.client_examples import Example, service
from tests.faulty_proxy import PROBLEM, Answer, FaultyProxy
from tests.system.programs import Service

__all__ = ["service"]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example("Python", (sys.executable, "-W", "error"), tmp_path)


@pytest.mark.parametrize("outcome", client_examples.OUTCOMES)
def test_a_lead_is_saved_once(example: Example, service: Service, outcome: str) -> None:
    client_examples.check_outcome(example, service, outcome)


@pytest.mark.parametrize("refusal", client_examples.REFUSALS)
def test_a_refused_lead_is_an_error(example: Example, service: Service, refusal: str) -> None:
    client_examples.check_refusal(example, service, refusal)


def test_one_name_is_saved_with_a_full_stop_as_the_last_name(example: Example, service: Service) -> None:
    assert example.run(service.url, '"Lovelace"', '"."').returncode == 0
    assert client_examples.leads(service)[-1][1:3] == ("Ada", ".")


def test_an_unreachable_service_is_an_error(example: Example) -> None:
    done = example.run("http://127.0.0.1:9", "attempts=6", "attempts=2")
    assert done.returncode == 1
    assert "NotSaved: no response: " in done.stderr


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((302, {"Location": "/thanks"}, b""), "NotSaved: HTTP Error 302"),
        ((422, PROBLEM | {"Content-Length": "99"}, b'{"detail": "x'), "NotSaved: HTTP Error 422"),
    ],
)
def test_a_redirect_and_a_truncated_error_are_not_saved(
    example: Example, service: Service, answer: Answer, error: str
) -> None:
    before = client_examples.leads(service)
    with FaultyProxy(service.url, answer) as proxy:
        done = example.run(proxy.url)
    assert (done.returncode, error in done.stderr, len(proxy.keys)) == (1, True, 1), done.stderr
    assert client_examples.leads(service) == before


@pytest.mark.parametrize("seconds", ["9" * 30, "9" * 5000, "\u00b2"])
def test_an_absurd_retry_after_is_limited(example: Example, service: Service, seconds: str) -> None:
    busy = (503, PROBLEM | {"Retry-After": seconds}, b"{}")
    with FaultyProxy(service.url, busy) as proxy:
        done = example.run(proxy.url, "MAX_WAIT_S = 600", "MAX_WAIT_S = 1")
    assert (done.returncode, done.stderr, len(proxy.keys)) == (0, "", 2)
