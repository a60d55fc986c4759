"""The script of the form."""

from tests.conftest import Intake
from tests.intake.public_api.forms import LOCAL, page, tags


def test_it_is_small_and_can_be_cached_under_its_version(intake: Intake) -> None:
    [script] = tags(page(intake), "script")
    answer = intake.client.get(script["src"], headers=LOCAL)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["Cache-Control"]
    assert len(answer.content) <= 10 * 2**10
    assert script["type"] == "module", "browsers that are too old for it ignore it"


def test_it_stores_nothing_in_the_browser(intake: Intake) -> None:
    script = intake.client.get("/form.js", headers=LOCAL).text
    for name in ("localStorage", "sessionStorage", "indexedDB", "cookie", "innerHTML", "eval"):
        assert name not in script
