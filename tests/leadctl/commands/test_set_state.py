"""leadctl set-state."""

import json
import re
from subprocess import CompletedProcess

import pytest

from tests.leadctl.conftest import Office


def test_one_lead(office: Office) -> None:
    lead_id = office.submit()
    done = office.run("set-state", "REACHED_OUT", str(lead_id))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"lead {lead_id} is REACHED_OUT\n")
    assert office.state(lead_id) == "REACHED_OUT"


def test_ids_from_a_list_through_a_pipe(office: Office) -> None:
    ids = [office.submit(f_name="Piped") for _ in range(3)]
    listed = office.data("list", "--f-name", "piped", "-o", "ids")
    done = office.run("set-state", "--from", "PENDING", "ENGAGED", "-", typed=listed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "3 of 3 leads moved to ENGAGED\n")
    assert {office.state(lead_id) for lead_id in ids} == {"ENGAGED"}
    assert office.run("set-state", "ENGAGED", "-", typed=listed).returncode == 0, "already so counts as done"


def test_no_ids_on_standard_input_is_nothing_to_do(office: Office) -> None:
    done = office.run("set-state", "ENGAGED", "-", typed="")
    assert (done.returncode, done.stderr) == (0, "0 of 0 leads moved to ENGAGED\n")


def test_of_several_those_not_done_have_a_line_each(office: Office) -> None:
    ids = [office.submit() for _ in range(2)]
    office.data("set-state", "DECLINED", str(ids[1]))
    done = office.run("set-state", "--from", "PENDING", "ENGAGED", str(ids[0]), str(ids[1]), "999999")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines() == [
        f"{ids[1]}: lead {ids[1]} is in state DECLINED, not PENDING",
        "999999: there is no lead 999999",
        "leadctl: 1 of 3 leads moved to ENGAGED",
    ]
    assert office.state(ids[0]) == "ENGAGED"


def test_a_single_one_has_an_exit_code_of_its_own(office: Office) -> None:
    lead_id = office.submit()
    assert office.run("set-state", "ENGAGED", "999999").returncode == 5
    assert office.run("set-state", "--from", "DECLINED", "ENGAGED", str(lead_id)).returncode == 6
    assert office.run("set-state", "--from", "DECLINED", "ENGAGED", "-", typed=str(lead_id)).returncode == 3


@pytest.mark.parametrize("typed", ["1 x", "-", "1\n0\n", "1.5", "９"])
def test_junk_among_ids_is_usage_and_nothing_is_done(office: Office, typed: str) -> None:
    lead_id = office.submit()
    done = office.run("set-state", "ENGAGED", str(lead_id), "-", typed=typed)
    assert done.returncode == 2
    assert "is no id" in done.stderr
    assert office.state(lead_id) == "PENDING"


def test_an_unknown_state_names_the_known_ones(office: Office) -> None:
    lead_id = office.submit()
    for ids in ([str(lead_id)], [str(lead_id), "999999"]):
        done = office.run("set-state", "LOST", *ids)
        assert done.returncode == 2
        assert "PENDING, REACHED_OUT" in done.stderr


def change_of(done: CompletedProcess[str]) -> str:
    found = re.search(r"leadctl undo ([0-9a-f-]{36})", done.stderr)
    assert found, done.stderr
    return found[1]


def test_a_command_is_one_change_that_is_told_of_where_it_is_asked_for(office: Office) -> None:
    ids = [str(office.submit()) for _ in range(2)]
    done = office.run("--verbose", "set-state", "ENGAGED", *ids)
    change = change_of(done)
    assert done.stderr.splitlines()[0] == f"This is change {change}; to take it back: leadctl undo {change}"
    assert office.data("changes", "-n", "1", "-o", "ids") == f"{change}\n"


def test_a_dry_run_shows_what_would_happen(office: Office) -> None:
    first, second = office.submit(), office.submit()
    office.data("set-state", "DECLINED", str(second))
    arguments = ("set-state", "--from", "PENDING", "ENGAGED", str(first), str(second), "999999")
    done = office.run(*arguments, "--dry-run")
    assert done.returncode == 3
    assert done.stdout == f"{first}\tchanged\tENGAGED\n{second}\tconflict\tDECLINED\n999999\tmissing\t\n"
    assert done.stderr.splitlines()[-1] == "leadctl: 1 of 3 leads would be moved to ENGAGED"
    assert (office.state(first), office.state(second)) == ("PENDING", "DECLINED")


def test_with_o_the_results_are_printed_whatever_came_of_them(office: Office) -> None:
    first, second = office.submit(), office.submit()
    office.data("set-state", "DECLINED", str(second))

    def results(*arguments: str, typed: str = "") -> tuple[int, list[tuple[int, str, str | None]]]:
        done = office.run("set-state", *arguments, "-o", "json", typed=typed)
        return done.returncode, [(one["id"], one["result"], one["state"]) for one in json.loads(done.stdout)]

    assert results("ENGAGED", str(first)) == (0, [(first, "changed", "ENGAGED")])
    assert results("ENGAGED", str(first)) == (0, [(first, "unchanged", "ENGAGED")])
    assert results("ENGAGED", "999999") == (5, [(999999, "missing", None)])
    claim = ("--from", "PENDING", "ENGAGED")
    assert results(*claim, str(second)) == (6, [(second, "conflict", "DECLINED")])
    both = [(second, "conflict", "DECLINED"), (999999, "missing", None)]
    assert results(*claim, str(second), "999999") == (3, both)
    assert results("ENGAGED", "-") == (0, [])
    assert office.run("set-state", "ENGAGED", str(first), "-o", "ids").stdout == f"{first}\n"


def test_quiet_says_nothing_of_what_was_done(office: Office) -> None:
    done = office.run("--quiet", "set-state", "ENGAGED", str(office.submit()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_same_command_again_is_done_already(office: Office) -> None:
    arguments = ("set-state", "--from", "PENDING", "REACHED_OUT", str(office.submit()), str(office.submit()))
    assert [office.run(*arguments).returncode for _ in range(2)] == [0, 0]


def test_debug_shows_requests_and_no_secrets(office: Office) -> None:
    done = office.run("--debug", "set-state", "ENGAGED", str(office.submit()))
    assert "POST " in done.stderr
    assert "/internal/leads/state -> 200" in done.stderr
    kept = (office.home / ".config/leadctl/credentials.json").read_text()
    assert not any(secret in done.stderr for secret in re.findall(r"eyJ[\w.-]+", kept))


def test_a_login_is_needed(stranger: Office) -> None:
    assert stranger.run("set-state", "ENGAGED", "1", "2").returncode == 4
