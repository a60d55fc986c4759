"""leadctl list and show, in a pipe."""

import json
import subprocess

import httpx2
import pytest

from tests.leadctl.conftest import Client
from tests.system.programs import LEADCTL


def test_a_pipe_gets_tab_separated_lines(client: Client) -> None:
    lead_id = client.submit(f_name="Plain", l_name="Person")
    fields = client.data("list", "--f-name", "plain").splitlines()[0].split("\t")
    assert fields[:6] == [str(lead_id), "ada@example.com", "Plain", "Person", "cv.pdf", "PENDING"]
    assert fields[6].endswith("Z")
    assert len(fields) == 7


def test_json_is_exactly_the_apis_array(client: Client) -> None:
    client.submit(f_name="Jürgen", l_name="\u202eevil")
    client.submit(f_name="Jürgen", l_name="山田")
    token = json.loads(next(client.home.rglob("credentials.json")).read_text())["profiles"]["default"]["token"]
    answer = httpx2.get(
        f"{client.url}/internal/leads/?f_name=J*rgen", headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert json.loads(client.data("list", "--f-name", "J*rgen", "--sort", "id", "-o", "json")) == answer
    assert json.loads(client.data("list", "--f-name", "J*rgen", "-o", "json")) == answer[::-1]


def test_no_match_is_an_empty_list(client: Client) -> None:
    for output_format, empty in (("plain", ""), ("ids", ""), ("json", "[]\n")):
        assert client.data("list", "--email", "nobody", "-o", output_format) == empty


def test_filters_and_limit(client: Client) -> None:
    ids = [client.submit(f_name="Filter", l_name=f"L{n}", email=f"l{n}@filter.example.com") for n in range(3)]

    def found(*arguments: str) -> list[int]:
        return [int(line) for line in client.data("list", *arguments, "-o", "ids").split()]

    assert found("--f-name", "filter") == ids[::-1]
    assert found("--f-name", "filter", "--sort", "id", "-n", "2") == ids[:2]
    assert found("--l-name", "L1", "--email", "*@filter*") == [ids[1]]
    assert found("-q", "L2@FILTER.example") == [ids[2]]
    assert found("-q", "ilter") == []
    assert found("--email", "*2@filt*") == [ids[2]]
    assert found("--state", "ENGAGED", "--state", "PENDING", "--f-name", "filter") == ids[::-1]
    assert found("--state", "engaged,PENDING", "--f-name", "filter") == ids[::-1]
    assert found("--since", "1h", "--f-name", "filter") == ids[::-1]
    assert found("--since", "2999-01-01") == []
    assert found("--until", "2020-01-01T10:00+02:00") == []
    assert found("--until", "1w", "--f-name", "filter") == []
    assert found("--since", "yesterday", "--state", "pending", "--f-name", "filter") == ids[::-1]
    assert found("--until", "yesterday", "--f-name", "filter") == []


def test_all_pages_are_fetched(client: Client) -> None:
    script = "from leadctl import api; api.PAGE = 2; from leadctl.cli import main; main()"
    ids = [client.submit(f_name="Paged") for _ in range(5)]
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, "list", "--f-name", "paged", "-o", "ids"],
        capture_output=True,
        text=True,
        env=client.environment,
    )
    assert [int(line) for line in done.stdout.split()] == ids[::-1]


@pytest.mark.parametrize("flag", ["--since", "--until"])
def test_an_invalid_time_is_a_usage_error(client: Client, flag: str) -> None:
    done = client.run("list", flag, "tomorrow")
    assert done.returncode == 2
    assert f"{flag} is 'tomorrow'; expected" in done.stderr


@pytest.mark.parametrize("times", [("2026-11-28", "2026-11-27"), ("1d", "2d"), ("today", "today")])
def test_an_empty_range_of_time_is_a_usage_error(client: Client, times: tuple[str, str]) -> None:
    done = client.run("list", "--since", times[0], "--until", times[1])
    assert (done.returncode, "is not before --until" in done.stderr) == (2, True)


def test_an_unknown_state_is_a_usage_error_that_lists_the_states(client: Client) -> None:
    done = client.run("list", "--state", "LOST")
    assert (done.returncode, done.stdout) == (2, "")
    assert "PENDING, REACHED_OUT, ENGAGED, DECLINED" in done.stderr
    assert "did you mean DECLINED?" in client.run("list", "--state", "declind").stderr
    every = client.run("list", "--state", "all").stderr
    assert every.startswith("leadctl: --state: 'ALL' is not a state; ")
    assert every.endswith("; for all leads, leave out --state\n")


def test_a_closed_pipe_is_not_an_error(client: Client) -> None:
    client.submit()
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail; leadctl list | head -c 1 && leadctl list | true"],
        capture_output=True,
        text=True,
        env=client.environment | {"PATH": f"{LEADCTL.removesuffix('/leadctl')}:/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_show(client: Client) -> None:
    lead_id = client.submit(f_name="Shown", cv=b"%PDF-1.4", cv_name="my cv.pdf")
    lines = dict(line.split("\t") for line in client.data("show", str(lead_id)).splitlines())
    assert list(lines) == [
        *("id", "email", "f_name", "l_name", "CV_name", "state", "created_at"),
        *("CV_size", "CV_sha256", "CV_detected_type", "CV_flags", "CV_scan_state", "CV_signature"),
        *("suspect", "language"),
    ]
    assert (lines["f_name"], lines["CV_name"], lines["CV_size"]) == ("Shown", "my cv.pdf", "8")
    assert json.loads(client.data("show", str(lead_id), "-o", "json"))["CV_detected_type"] == "application/pdf"


def test_a_missing_lead_is_exit_5(client: Client) -> None:
    done = client.run("show", "999999")
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "leadctl: there is no lead 999999\n")


@pytest.mark.parametrize(
    ("lead_id", "hint"),
    [
        *((name, f"; to find a person: leadctl search {name}") for name in ("maria", "a@example.com", "Núñez")),
        *((text, "") for text in ("0", "9" * 40, "a;b", "42x", "#42")),
    ],
)
def test_an_invalid_id_is_a_usage_error(client: Client, lead_id: str, hint: str) -> None:
    done = client.run("show", lead_id)
    error = f"leadctl: {lead_id!r} is not an id; ids are positive integers{hint}\n"
    assert (done.returncode, done.stderr) == (2, error)
