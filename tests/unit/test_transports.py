"""What a relay's refusals amount to."""

import pytest

from intake.mail.transports import _refused


@pytest.mark.parametrize("code", [421, 450, 550])
def test_what_a_relay_says_is_kept_and_not_logged(code: int) -> None:
    failure = _refused(code, "too much mail for <ada@example.com>", permanent=False)
    assert "ada@example.com" in str(failure)
    assert "ada@example.com" not in failure.logged
    assert str(code) in failure.logged
