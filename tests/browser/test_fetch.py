"""Cross-origin submissions by a script in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error, Page

from tests.browser.conftest import Firm, snippet
from tests.browser.test_form import fill

Start = Callable[..., Firm]


def post(tab: Page, key: str = "k1") -> dict[str, Any]:
    """Submit the form with the README's code and return the parts of the response that the script can read."""
    code = snippet("js")
    assert "Idempotency-Key" in code
    script = f"""async key => {{
        const form = document.forms[0]
        {code}
        return {{status: answer.status, faults, headers: Object.fromEntries(answer.headers)}}
    }}"""
    return dict(tab.evaluate(script, key))


def test_allowed_origin_submits_and_retry_creates_no_duplicate(tab: Page, firm: Firm) -> None:
    fill(tab, firm)
    answers = [post(tab), post(tab)]
    assert [answer["status"] for answer in answers] == [204, 204]
    assert answers[0]["headers"]["x-request-id"]
    assert firm.count() == 1
    assert post(tab, "k2")["status"] == 204
    assert firm.count() == 2


def test_script_can_read_field_errors_and_retry_after(tab: Page, firms: Start) -> None:
    firm = firms(INTAKE_CORS_ORIGINS="{site}", INTAKE_CV_STORE="file://{directory}/store")
    store = firm.directory / "store"
    fill(tab, firm)
    tab.get_by_label("First name").fill("")
    assert post(tab)["faults"] == [{"field": "f_name", "detail": "is required"}]
    tab.get_by_label("First name").fill("Ada")
    store.rename(firm.directory / "away")
    store.write_text("not a directory")
    answer = post(tab)
    assert (answer["status"], answer["headers"]["retry-after"]) == (503, "5")
    assert firm.count() == 0


@pytest.mark.parametrize("size", [2**20 + 1, 2**21, 100 * 2**20])
def test_script_can_read_413_for_an_oversized_cv(tab: Page, firm: Firm, tmp_path: Path, size: int) -> None:
    large = tmp_path / "large.pdf"
    with large.open("wb") as file:
        file.truncate(size)
    fill(tab, firm, large)
    assert post(tab)["status"] == 413


@pytest.mark.parametrize("origins", ["", "https://www.firm.example"])
def test_browser_blocks_other_origins(tab: Page, firms: Start, origins: str) -> None:
    firm = firms(INTAKE_CORS_ORIGINS=origins)
    fill(tab, firm)
    with pytest.raises(Error, match="Failed to fetch"):
        post(tab)
    assert firm.count() == 0


def test_same_site_under_another_host_name_is_blocked(tab: Page, firm: Firm) -> None:
    fill(tab, firm)
    tab.goto(firm.site.other_origin)
    with pytest.raises(Error, match="Failed to fetch"):
        post(tab)


@pytest.mark.parametrize("path", ["/internal/leads/", "/internal/auth/login", "/readyz", "/metrics"])
def test_allowed_origin_cannot_reach_other_routes(tab: Page, firm: Firm, path: str) -> None:
    tab.goto(firm.site.origin)
    with pytest.raises(Error, match="Failed to fetch"):
        tab.evaluate("url => fetch(url)", firm.url + path)
