"""The form of the service as a browser sees and sends it."""

import html
import re
from collections.abc import Mapping
from typing import Any

from httpx2 import Response

from tests.conftest import Intake

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
LOCAL = {"Host": "localhost:8000", "Accept": BROWSER}
CV = ("cv.pdf", b"%PDF-1.4 a CV")


def page(intake: Intake, path: str = "/", **headers: str) -> str:
    """Return a page of the form."""
    answer = intake.client.get(path, headers={**LOCAL, **headers})
    assert answer.status_code == 200, answer.text
    return answer.text


def hidden(text: str) -> Mapping[str, str]:
    """Return the hidden fields of a page, and the empty honeypot."""
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
    [honeypot] = re.findall(r'name="(\w+)" tabindex="-1" autocomplete="off"', text)
    return {**fields, honeypot: ""}


def send(intake: Intake, *, path: str = "/leads/?lang=en", **fields: Any) -> Response:
    """Send the form as a browser does; `fields` override the defaults."""
    headers = {**LOCAL, **fields.pop("headers", {})}
    file = fields.pop("CV", CV)
    own = fields.pop("own", None) or hidden(page(intake))
    form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace", **own, **fields}
    return intake.client.post(path, data=form, files={"CV": file}, headers=headers, follow_redirects=False)


def tags(text: str, name: str) -> list[dict[str, str]]:
    """Return the attributes of all elements with a tag name."""
    found = re.findall(rf"<{name}\b([^>]*)>", text)
    return [
        {key: html.unescape(value) for key, value in re.findall(r'([\w-]+)(?:="([^"]*)")?', attributes)}
        for attributes in found
    ]


def control(text: str, name: str) -> dict[str, str]:
    """Return the attributes of the control of a field."""
    [found] = [tag for kind in ("input", "select", "textarea") for tag in tags(text, kind) if tag.get("name") == name]
    return found
