"""Restores with an S3 store: the tests of `tests/intake/cvs/test_restores.py`."""

from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest

from tests.conftest import Intake
from tests.intake.cvs import test_restores
from tests.s3.conftest import S3, running

for _name, _test in vars(test_restores).items():
    if _name.startswith("test_") or _name in ("intake", "restored", "all_old", "renewed"):
        globals()[_name] = _test


@pytest.fixture
def store_url(s3: S3) -> str:
    return f"s3://cvs/firms/{token_hex(8)}"


@pytest.fixture(params=[-1, 1])
def shifted(request: pytest.FixtureRequest) -> Iterator[S3]:
    """A server whose clock differs by a day and a minute."""
    seconds = request.param * (86_400 + 60)
    yield from running(S3(["-m", "tests.s3.shifted", str(seconds)]))


def test_a_wrong_clock_does_not_change_the_age_of_objects(
    shifted: S3, start: Callable[..., Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = start(cv_store=f"s3://cvs/firms/{token_hex(8)}")
    test_restores.check_age_by_the_stores_clock(intake, monkeypatch)
