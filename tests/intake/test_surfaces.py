"""APIs of each surface."""

import dataclasses
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from intake.app import Surface, create_app
from intake.public_api import form
from intake.settings import Settings
from tests.conftest import SECRET, Databases, Intake

EVERYTHING = {(op.method, op.path) for operations, _ in Surface.ALL.apis(Settings()) for op in operations}
EVERYTHING -= {("GET", "/logo")}  # there is none
FORM = {(op.method, op.path) for op in form.OPERATIONS} & EVERYTHING
SUBMISSION_AND_DESCRIPTION = {("POST", "/leads/"), ("GET", "/openapi.json"), ("GET", "/docs")}
PUBLIC = SUBMISSION_AND_DESCRIPTION | FORM | {("GET", "/healthz"), ("GET", "/readyz")}


@pytest.fixture(params=list(Surface))
def surface(request: pytest.FixtureRequest) -> Surface:
    return Surface(request.param)


@pytest.fixture
def client(databases: Databases, surface: Surface) -> Iterator[TestClient]:
    settings = Settings(database_url=databases.migrated_url(), jwt_secrets=(SECRET,))
    app = create_app(settings, with_worker=False, surface=surface)
    with TestClient(app, base_url="http://localhost") as made:  # the only host for which it serves the form
        yield made


def test_each_surface_has_its_routes_and_no_others(client: TestClient, surface: Surface) -> None:
    expected = {Surface.PUBLIC: PUBLIC, Surface.INTERNAL: EVERYTHING - SUBMISSION_AND_DESCRIPTION - FORM}
    routes = expected.get(surface, EVERYTHING)
    for method, path in EVERYTHING:
        for spelling in {path, path.rstrip("/")}:
            status = client.request(method, spelling.replace("{id}", "1").replace("{name}", "ada")).status_code
            assert (status != 404) == ((method, path) in routes), (method, path, status)


def test_the_internal_description_matches_the_surface(client: TestClient, surface: Surface) -> None:
    answer = client.get("/internal/openapi.json")
    assert answer.status_code == (404 if surface is Surface.PUBLIC else 200)
    if surface is not Surface.PUBLIC:
        described = {(method.upper(), path) for path, methods in answer.json()["paths"].items() for method in methods}
        assert described == {(op.method, op.path) for operations, _ in surface.apis(Settings()) for op in operations}


def test_the_public_description_is_the_same_wherever_it_is_served(client: TestClient, surface: Surface) -> None:
    for path in ("/openapi.json", "/docs"):
        answer = client.get(path)
        assert answer.status_code == (404 if surface is Surface.INTERNAL else 200)
        assert ("/leads/" in answer.text) == (surface is not Surface.INTERNAL)
        assert "/internal/" not in answer.text


@pytest.mark.parametrize(
    ("surface", "page"), [("internal", "/internal/docs"), ("public", "/docs")], indirect=["surface"]
)
def test_problems_of_a_surface_point_to_its_own_page(client: TestClient, page: str) -> None:
    answer = client.get("/nothing", headers=[("Host", "a.example"), ("Host", "b.example")])
    assert answer.json()["type"] == f"{page}#ambiguous-host"


def test_the_public_surface_accepts_leads_and_needs_no_secret(intake: Intake) -> None:
    settings = dataclasses.replace(intake.settings, jwt_secrets=())
    with TestClient(create_app(settings, with_worker=False, surface=Surface.PUBLIC)) as client:
        public = Intake(intake.settings, intake.database, client)
        assert public.submitted() == 1
    if settings.sqlite_file is not None:
        assert not settings.beside_database(".secret").exists()


def test_a_public_process_can_not_authenticate_users(client: TestClient, surface: Surface) -> None:
    found = {"token_signer", "login_throttle", "allowed_logins", "description"} & set(client.app_state)
    assert len(found) == (0 if surface is Surface.PUBLIC else 4)


def test_the_public_surface_hides_errors(client: TestClient, surface: Surface) -> None:
    client.post("/leads/", headers={"X-Forwarded-For": "192.0.2.1"})
    message = client.get("/readyz").json()["forwarded"]
    assert (message == "see the service's log") == (surface is Surface.PUBLIC)


def test_connections_follow_the_surface() -> None:
    settings = Settings()
    assert Surface.PUBLIC.connections(settings) < Surface.ALL.connections(settings)
    assert Surface.INTERNAL.connections(settings) < Surface.ALL.connections(settings)
