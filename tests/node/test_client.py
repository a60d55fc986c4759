"""The Node client of docs/clients.md."""

import shutil
from pathlib import Path

import pytest

from tests import client_examples
from tests.client_examples import Example, service
from tests.system.programs import Service

__all__ = ["service"]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    node = shutil.which("node")
    if node is None:
        pytest.exit("Node is not installed; run: apt-get install nodejs", returncode=1)
    return Example("Node", (node,), tmp_path)


@pytest.mark.parametrize("outcome", client_examples.OUTCOMES)
def test_a_lead_is_saved_once(example: Example, service: Service, outcome: str) -> None:
    client_examples.check_outcome(example, service, outcome)


@pytest.mark.parametrize("refusal", client_examples.REFUSALS)
def test_a_refused_lead_is_an_error(example: Example, service: Service, refusal: str) -> None:
    client_examples.check_refusal(example, service, refusal)


def test_an_unreachable_service_is_an_error(example: Example, tmp_path: Path) -> None:
    done = example.run("http://127.0.0.1:9", "attempts = 6", "attempts = 2")
    assert done.returncode == 1
    assert "no response: " in done.stderr
