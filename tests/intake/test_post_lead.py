"""POST /leads/."""

from tests.conftest import Intake


def test_a_lead_is_kept(intake: Intake) -> None:
    assert intake.submit().status_code == 204
