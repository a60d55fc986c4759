"""Rate limits per client behind the documented proxies."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.proxy.programs import DOCUMENTED, Proxy, client
from tests.system.programs import Service, clean_environment

FIRM = "https://www.firm.example"


def submit(proxy: Proxy, ours: str, claim: str) -> httpx2.Response:
    """Submit a lead like the website's script, from a local address and with a forged X-Forwarded-For."""
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
    headers = {"X-Forwarded-For": claim, "Origin": FIRM}
    with client(proxy, ours=ours) as sending:
        return sending.post("/leads/", data=form, files={"CV": ("cv.pdf", b"%PDF-1.4 a CV")}, headers=headers)


@pytest.mark.parametrize("make", DOCUMENTED)
def test_rate_limit_applies_per_client_despite_forged_headers(make: Callable[[str], Proxy], tmp_path: Path) -> None:
    environment = clean_environment(
        tmp_path, INTAKE_TRUSTED_PROXIES="127.0.0.1", INTAKE_RATE_LIMIT="2/day", INTAKE_CORS_ORIGINS=FIRM
    )
    with Service(environment, tmp_path) as service, make(service.url.removeprefix("http://")) as proxy:
        for ours in ("127.0.0.7", "127.0.0.8"):
            answers = [submit(proxy, ours, f"203.0.113.{n}") for n in range(3)]
            assert [answer.status_code for answer in answers] == [204, 204, 429]
            refused = answers[-1].headers
            assert refused["Retry-After"]
            assert refused["Access-Control-Allow-Origin"] == FIRM, "its script can read when to try again"
