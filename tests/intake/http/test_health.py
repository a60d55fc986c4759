"""Routes for operators."""

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from sqlalchemy import text
from starlette.testclient import TestClient

from intake.app import PUBLIC, Surface
from intake.errors import MAX_FIELD_ERRORS
from intake.http.problems import MEDIA_TYPE
from intake.internal_api.schemas.users import UserModel
from intake.leads.bulk_changes import MAX_LEADS
from intake.leads.models import LeadModel, LeadWithCv
from intake.leads.submissions import MAX_KEY_CHARACTERS
from intake.request_models import MAX_CV_NAME_CHARACTERS, MAX_EMAIL_CHARACTERS, MAX_ID, MAX_NAME_CHARACTERS
from intake.settings import Settings
from intake.settings.parsers import MIN_PASSWORD_CHARACTERS
from intake.users.accounts import MAX_USERNAME_CHARACTERS, USERNAME_PATTERN
from intake.users.passwords import MAX_TYPED_CHARACTERS
from tests.conftest import Intake


def test_healthz(intake: Intake) -> None:
    assert intake.client.get("/healthz").json() == {"status": "up"}


def test_readyz_needs_the_schema_of_this_version(intake: Intake) -> None:
    assert intake.client.get("/readyz").status_code == 200
    intake.write(lambda c: c.execute(text("DELETE FROM alembic_version")))
    answer = intake.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "intake migrate" in answer.json()["detail"]


def test_metrics_count_leads_and_requests(intake: Intake) -> None:
    intake.submitted()
    intake.client.request("BREW", "/a/path/nobody/knows")
    answer = intake.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "intake_leads_total 1.0" in answer.text
    assert 'intake_request_seconds_count{method="POST",route="/leads/",status="204"} 1.0' in answer.text
    assert 'method="other",route="none",status="404"' in answer.text
    assert "nobody" not in answer.text


def test_the_description_is_valid_and_complete(intake: Intake) -> None:
    document = intake.client.get("/internal/openapi.json").json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(op.method, op.path) for operations, _ in Surface.ALL.apis(Settings()) for op in operations}
    patch = document["paths"]["/internal/leads/{id}"]["patch"]
    assert set(patch["responses"]) == {"204", "400", "401", "404", "408", "409", "413", "415", "422", "503", "default"}
    assert patch["security"] == [{"bearer": []}]
    [name] = document["paths"]["/internal/users/{name}"]["patch"]["parameters"]
    assert name["schema"]["type"] == "string"
    assert "security" not in document["paths"]["/leads/"]["post"]
    names = [parameter["name"] for parameter in document["paths"]["/internal/leads/"]["get"]["parameters"]]
    filters = ["email", "f_name", "l_name", "state", "q", "suspect", "since", "until"]
    assert names == [*filters, "limit", "after", "order", "include"]


def test_the_public_description_is_valid_and_has_only_public_routes(intake: Intake) -> None:
    answer = intake.client.get("/openapi.json")
    validate(answer.json())
    assert list(answer.json()["paths"]) == [
        "/leads/",
        "/",
        "/thanks",
        "/form.js",
        "/logo",
        "/openapi.json",
        "/docs",
        "/healthz",
    ]
    for served in (answer.text, intake.client.get("/docs").text):
        for word in ("internal", "bearer", "readyz", "metrics", "attorney", "quarantined", "cv_store"):
            assert word not in served.lower(), word


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the content of each request and successful response, with the name of its operation."""
    for methods in document["paths"].values():
        for operation in methods.values():
            answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
            for holder in (operation.get("requestBody", {}), *answers):
                for content in holder.get("content", {}).values():
                    yield operation["operationId"], content


@pytest.mark.parametrize("path", ["/openapi.json", "/internal/openapi.json"])
def test_each_operation_has_valid_examples(intake: Intake, path: str) -> None:
    document = intake.client.get(path).json()
    for name, content in contents(document):
        schema = {**content["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(content["example"])
        assert content["example"], name
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                assert parameter["in"] != "path" or parameter["schema"]["examples"]


@pytest.mark.parametrize("path", ["/openapi.json", "/internal/openapi.json"])
def test_each_problem_has_a_valid_example(intake: Intake, path: str) -> None:
    document = intake.client.get(path).json()
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    page = path.replace("openapi.json", "docs")
    html = intake.client.get(page).text
    referenced = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for reference in answer.get("content", {}).get(MEDIA_TYPE, {}).get("examples", {}).values():
                    name = reference["$ref"].removeprefix("#/components/examples/")
                    assert document["components"]["examples"][name]["value"]["status"] == int(status)
                    referenced.add(name)
    assert "invalid-fields" in referenced <= document["components"]["examples"].keys()
    for name, example in document["components"]["examples"].items():
        Draft202012Validator(schema).validate(example["value"])
        assert example["value"]["type"] == f"{page}#{name}"
        assert f'<tr id="{name}">' in html
    assert "not_an_email" in html
    assert "`" not in html, "code is marked as such"
    assert "retry_after_s" not in html
    assert "can&#39;t" in html, "readable JSON"


def test_limits_in_the_description_are_those_of_the_code(intake: Intake) -> None:
    document = intake.client.get("/internal/openapi.json").json()
    for path in ("/leads/", "/internal/leads/"):
        fields = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"][
            "properties"
        ]
        assert fields["email"]["maxLength"] == MAX_EMAIL_CHARACTERS
        assert fields["f_name"]["maxLength"] == fields["l_name"]["maxLength"] == MAX_NAME_CHARACTERS
        assert (fields["CV"]["minLength"], fields["CV"]["maxLength"]) == (1, intake.settings.max_cv_bytes)
        assert f"{MAX_CV_NAME_CHARACTERS} characters" in fields["CV"]["description"]
        assert all(f".{extension}" in fields["CV"]["description"] for extension in intake.settings.cv_extensions)
    [key] = document["paths"]["/leads/"]["post"]["parameters"]
    assert (key["schema"]["minLength"], key["schema"]["maxLength"]) == (1, MAX_KEY_CHARACTERS)
    schemas = document["components"]["schemas"]
    assert schemas["BulkChange"]["properties"]["ids"]["maxItems"] == MAX_LEADS
    assert schemas["Problem"]["properties"]["errors"]["anyOf"][0]["maxItems"] == MAX_FIELD_ERRORS
    username, password = (schemas["Registration"]["properties"][name] for name in ("username", "password"))
    assert (username["maxLength"], username["pattern"]) == (MAX_USERNAME_CHARACTERS, USERNAME_PATTERN)
    assert (password["minLength"], password["maxLength"]) == (MIN_PASSWORD_CHARACTERS, MAX_TYPED_CHARACTERS)
    [lead, *_] = document["paths"]["/internal/leads/{id}/cv-download"]["get"]["parameters"]
    assert (lead["schema"]["minimum"], lead["schema"]["maximum"]) == (1, MAX_ID)
    [change] = document["paths"]["/internal/changes/{id}/undo"]["post"]["parameters"]
    assert change["schema"]["format"] == "uuid"


def test_problems_point_to_the_page_that_explains_them(attorney: TestClient, intake: Intake) -> None:
    for answer in (
        attorney.get("/internal/leads/1"),
        intake.client.post("/leads/", data={"email": "x"}),
        intake.client.get("/readyz", headers=[("Host", "a.example"), ("Host", "b.example")]),
    ):
        page, _, anchor = answer.json()["type"].partition("#")
        assert page == ("/internal/docs" if "/internal/" in str(answer.url) else "/docs")
        assert f'id="{anchor}"' in intake.client.get(page).text


@pytest.mark.parametrize("path", ["/leads/", "/internal/leads/"])
def test_the_cv_is_binary_in_the_description(intake: Intake, path: str) -> None:
    form = intake.client.get("/internal/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    assert form["multipart/form-data"]["schema"]["properties"]["CV"]["format"] == "binary"


def test_responses_match_the_description(attorney: TestClient, intake: Intake) -> None:
    lead_id = intake.submitted()
    for path, model, whole in (
        ("/internal/leads/", LeadModel, False),
        (f"/internal/leads/{lead_id}", LeadWithCv, True),
        ("/internal/auth/me", UserModel, True),
    ):
        answer = attorney.get(path).json()
        one = answer if whole else answer[0]
        assert set(one) == set(model.model_fields)
        model.model_validate_json(attorney.get(path).content if whole else attorney.get(path).content[1:-1])


@pytest.mark.parametrize("path", ["/docs", "/internal/docs"])
def test_the_page_has_no_scripts_and_external_resources(intake: Intake, path: str) -> None:
    answer = intake.client.get(path)
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.text
    assert not re.search(r"(src|href)=\"?(https?:)?//", answer.text)
    for operations in [PUBLIC] if path == "/docs" else [operations for operations, _ in Surface.ALL.apis(Settings())]:
        for operation in operations:
            assert f'id="{operation.endpoint.__name__}"' in answer.text
    assert ('id="lead-not-found"' in answer.text) == (path == "/internal/docs"), "problem types point here"
    assert 'id="invalid-fields"' in answer.text


@pytest.mark.parametrize("path", ["/", "/nothing", "/internal", "/leads/1", "/internal/leads/1/2", "/%00", "/\u20ac"])
def test_other_paths_are_404(intake: Intake, path: str) -> None:
    answer = intake.client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_response_has_a_request_id_and_nosniff(intake: Intake) -> None:
    answers = [intake.client.get(path) for path in ("/healthz", "/nothing", "/internal/leads/")]
    assert len({answer.headers["X-Request-ID"] for answer in answers}) == 3
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


def test_a_defect_exposes_only_the_request_id(
    intake: Intake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("intake.http.health.schema_error", lambda _database: 1 / 0)
    answer = intake.client.get("/readyz")
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert answer.json()["request_id"] in caplog.text


def test_responses_do_not_echo_requests(intake: Intake) -> None:
    assert intake.client.request("TRACE", "/healthz").status_code == 405


def test_a_path_is_one_log_line(intake: Intake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "intake.access")
    intake.client.get("/nothing%0d%0aINFO intake: forged%1b[31m")
    for _ in range(100):  # the log is written by a thread
        lines = [record.getMessage() for record in caplog.records if record.name == "intake.access"]
        if lines:
            break
        time.sleep(0.05)
    [line] = lines
    assert r"/nothing\r\nINFO intake: forged\x1b[31m" in line
    assert line.isprintable()
