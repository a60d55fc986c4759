"""The proxy of docker-compose.yml, with its configuration from docs/nginx.conf, before replicas of each surface."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import SECRET
from tests.proxy.programs import INTERNAL, Proxy, client, composed_nginx
from tests.system.programs import Service, clean_environment, until

FORM = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}


class Replicas:
    """Two services for each surface, and the proxy."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        environment = clean_environment(
            directory, INTAKE_JWT_SECRET=SECRET, INTAKE_TRUSTED_PROXIES="127.0.0.1", INTAKE_RATE_LIMIT="4/day"
        )

        def start(surface: str) -> list[Service]:
            flags = ("serve", "--no-worker", "--surface", surface)
            return [stack.enter_context(Service(environment, directory, *flags)) for _ in range(2)]

        self.public, self.internal = start("public"), start("internal")
        addresses = [[one.url.removeprefix("http://") for one in made] for made in (self.public, self.internal)]
        self.proxy: Proxy = stack.enter_context(composed_nginx(*addresses))


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as stack:
        yield Replicas(tmp_path, stack)


def submit(proxy: Proxy, *, ours: str = "127.0.0.1") -> int:
    with client(proxy, ours=ours) as public:
        return public.post("/leads/", data=FORM, files={"CV": ("cv.pdf", b"a CV")}).status_code


def test_all_replicas_of_a_surface_get_requests(replicas: Replicas) -> None:
    assert [submit(replicas.proxy) for _ in range(4)] == [204] * 4
    with client(replicas.proxy, INTERNAL) as internal:
        assert {internal.get("/internal/leads/").status_code for _ in range(4)} == {401}
    for services, request in ((replicas.public, "POST /leads/ 204"), (replicas.internal, "GET /internal/leads/ 401")):
        for service in services:
            until(lambda service=service, request=request: request in "".join(service.log), within_s=10)  # type: ignore[misc]


def test_the_public_host_does_not_reach_the_internal_surface(replicas: Replicas) -> None:
    with client(replicas.proxy) as public:
        assert public.get("/internal/leads/").status_code == 404
        assert public.get("/metrics").status_code == 404


def test_each_client_has_its_own_limit(replicas: Replicas) -> None:
    replicas.public.pop().stop()
    assert [submit(replicas.proxy, ours="127.0.0.7") for _ in range(5)] == [204] * 4 + [429]
    assert submit(replicas.proxy, ours="127.0.0.8") == 204


def test_a_stopped_replica_costs_no_request(replicas: Replicas) -> None:
    for services in (replicas.public, replicas.internal):
        services.pop().stop()
    assert [submit(replicas.proxy) for _ in range(4)] == [204] * 4
    with client(replicas.proxy, INTERNAL) as internal:
        assert {internal.get("/readyz").status_code for _ in range(4)} == {200}
