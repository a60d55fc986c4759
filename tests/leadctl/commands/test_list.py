"""leadctl list and show, in a pipe."""

import json
import subprocess

import httpx2
import pytest

from tests.leadctl.conftest import Office
from tests.system.programs import LEADCTL


def test_a_pipe_gets_a_line_for_each_lead_its_fields_between_tabs(office: Office) -> None:
    lead_id = office.submit(f_name="Plain", l_name="Person")
    fields = office.data("list", "--f-name", "plain").splitlines()[0].split("\t")
    assert fields[:6] == [str(lead_id), "ada@example.com", "Plain", "Person", "cv.pdf", "PENDING"]
    assert fields[6].endswith("Z")
    assert len(fields) == 7


def test_json_is_exactly_the_apis_array(office: Office) -> None:
    office.submit(f_name="Jürgen", l_name="\u202eevil")
    office.submit(f_name="Jürgen", l_name="山田")
    token = json.loads(next(office.home.rglob("credentials.json")).read_text())["profiles"]["default"]["token"]
    answer = httpx2.get(
        f"{office.url}/internal/leads/?f_name=J*rgen", headers={"Authorization": f"Bearer {token}"}
    ).json()
    assert json.loads(office.data("list", "--f-name", "J*rgen", "--sort", "id", "-o", "json")) == answer
    assert json.loads(office.data("list", "--f-name", "J*rgen", "-o", "json")) == answer[::-1]


def test_nothing_found_is_done_and_empty(office: Office) -> None:
    for face, empty in (("plain", ""), ("ids", ""), ("json", "[]\n")):
        assert office.data("list", "--email", "nobody", "-o", face) == empty


def test_filters_and_limit(office: Office) -> None:
    ids = [office.submit(f_name="Filter", l_name=f"L{n}", email=f"l{n}@filter.example.com") for n in range(3)]

    def found(*arguments: str) -> list[int]:
        return [int(line) for line in office.data("list", *arguments, "-o", "ids").split()]

    assert found("--f-name", "filter") == ids[::-1]
    assert found("--f-name", "filter", "--sort", "id", "-n", "2") == ids[:2]
    assert found("--l-name", "L1", "--email", "*@filter*") == [ids[1]]
    assert found("-q", "2@FILTER") == [ids[2]]
    assert found("--state", "ENGAGED", "--state", "PENDING", "--f-name", "filter") == ids[::-1]
    assert found("--since", "1h", "--f-name", "filter") == ids[::-1]
    assert found("--since", "2999-01-01") == []
    assert found("--until", "2020-01-01T10:00+02:00") == []
    assert found("--until", "1w", "--f-name", "filter") == []


def test_pages_are_read_until_the_last(office: Office) -> None:
    script = "from leadctl import api; api.PAGE = 2; from leadctl.cli import main; main()"
    ids = [office.submit(f_name="Paged") for _ in range(5)]
    done = subprocess.run(
        [LEADCTL.replace("leadctl", "python"), "-c", script, "list", "--f-name", "paged", "-o", "ids"],
        capture_output=True,
        text=True,
        env=office.environment,
    )
    assert [int(line) for line in done.stdout.split()] == ids[::-1]


@pytest.mark.parametrize("flag", ["--since", "--until"])
def test_a_moment_that_is_none(office: Office, flag: str) -> None:
    done = office.run("list", flag, "yesterday")
    assert done.returncode == 2
    assert f"{flag} is 'yesterday'; expected" in done.stderr


def test_an_unknown_state_is_usage_and_names_the_known_ones(office: Office) -> None:
    done = office.run("list", "--state", "LOST")
    assert (done.returncode, done.stdout) == (2, "")
    assert "PENDING, REACHED_OUT, ENGAGED, DECLINED" in done.stderr


def test_a_reader_that_goes_away_is_no_error(office: Office) -> None:
    office.submit()
    done = subprocess.run(
        ["bash", "-c", "set -o pipefail; leadctl list | head -c 1 && leadctl list | true"],
        capture_output=True,
        text=True,
        env=office.environment | {"PATH": f"{LEADCTL.removesuffix('/leadctl')}:/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_show(office: Office) -> None:
    lead_id = office.submit(f_name="Shown", cv=b"%PDF-1.4", cv_name="my cv.pdf")
    lines = dict(line.split("\t") for line in office.data("show", str(lead_id)).splitlines())
    assert list(lines) == [
        *("id", "email", "f_name", "l_name", "CV_name", "state", "created_at"),
        *("CV_size", "CV_sha256", "CV_detected_type", "CV_flags", "CV_scan_state", "CV_signature"),
    ]
    assert (lines["f_name"], lines["CV_name"], lines["CV_size"]) == ("Shown", "my cv.pdf", "8")
    assert json.loads(office.data("show", str(lead_id), "-o", "json"))["CV_detected_type"] == "application/pdf"


def test_a_lead_that_is_not_there(office: Office) -> None:
    done = office.run("show", "999999")
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "leadctl: there is no lead 999999\n")


@pytest.mark.parametrize("lead_id", ["abc", "0", "9" * 40])
def test_an_id_that_is_none_is_usage(office: Office, lead_id: str) -> None:
    assert office.run("show", lead_id).returncode == 2
