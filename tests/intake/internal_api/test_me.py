"""GET /internal/auth/me."""

from tests.conftest import Intake


def test_the_authenticated_user(intake: Intake) -> None:
    user_id = intake.user("Ada", role="admin")
    me = intake.client.get("/internal/auth/me", headers=intake.bearer(user_id)).json()
    assert list(me) == ["id", "username", "role", "created_at"]
    assert (me["id"], me["username"], me["role"]) == (user_id, "Ada", "admin")
