"""leadctl set-state."""

import json
import re
from subprocess import CompletedProcess

import pytest

from tests.leadctl.conftest import Client


def test_one_lead(client: Client) -> None:
    lead_id = client.submit()
    done = client.run("set-state", "REACHED_OUT", str(lead_id))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"lead {lead_id} is REACHED_OUT\n")
    assert client.state(lead_id) == "REACHED_OUT"


def test_ids_from_a_list_through_a_pipe(client: Client) -> None:
    ids = [client.submit(f_name="Piped") for _ in range(3)]
    listed = client.data("list", "--f-name", "piped", "-o", "ids")
    done = client.run("set-state", "--from", "PENDING", "ENGAGED", "-", typed=listed)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "3 of 3 leads changed to ENGAGED\n")
    assert {client.state(lead_id) for lead_id in ids} == {"ENGAGED"}
    assert client.run("set-state", "ENGAGED", "-", typed=listed).returncode == 0, (
        "leads already in the state are not errors"
    )


def test_empty_standard_input_is_not_an_error(client: Client) -> None:
    done = client.run("set-state", "ENGAGED", "-", typed="")
    assert (done.returncode, done.stderr) == (0, "0 of 0 leads changed to ENGAGED\n")


def test_each_failure_has_a_line(client: Client) -> None:
    ids = [client.submit() for _ in range(2)]
    client.data("set-state", "DECLINED", str(ids[1]))
    done = client.run("set-state", "--from", "PENDING", "ENGAGED", str(ids[0]), str(ids[1]), "999999")
    assert (done.returncode, done.stdout) == (3, "")
    assert re.sub(r"(now|\d+ s ago)$", "now", done.stderr, count=1, flags=re.MULTILINE).splitlines() == [
        f"{ids[1]}: lead {ids[1]} is in state DECLINED, not PENDING; peter changed it now",
        "999999: there is no lead 999999",
        "leadctl: 1 of 3 leads changed to ENGAGED",
    ]
    assert client.state(ids[0]) == "ENGAGED"


def test_a_single_lead_has_a_specific_exit_code(client: Client) -> None:
    lead_id = client.submit()
    assert client.run("set-state", "ENGAGED", "999999").returncode == 5
    assert client.run("set-state", "--from", "DECLINED", "ENGAGED", str(lead_id)).returncode == 6
    assert client.run("set-state", "--from", "DECLINED", "ENGAGED", "-", typed=str(lead_id)).returncode == 3


@pytest.mark.parametrize("form", ["{},{}", "{}, {}", "{} {}"])
@pytest.mark.parametrize("is_piped", [False, True])
def test_ids_may_be_separated_by_commas(client: Client, form: str, is_piped: bool) -> None:
    ids = [client.submit() for _ in range(2)]
    given = form.format(*ids)
    done = client.run("set-state", "engaged", "-" if is_piped else given, typed=given)
    assert (done.returncode, done.stderr) == (0, "2 of 2 leads changed to ENGAGED\n")


@pytest.mark.parametrize("ids", ["", ",", "1,x"])
def test_an_argument_without_ids_is_an_error(client: Client, ids: str) -> None:
    done = client.run("set-state", "ENGAGED", ids)
    assert (done.returncode, "is not an id" in done.stderr) == (2, True)


@pytest.mark.parametrize("typed", ["1 x", "-", "1\n0\n", "1.5", "９"])
def test_an_invalid_id_changes_nothing(client: Client, typed: str) -> None:
    lead_id = client.submit()
    done = client.run("set-state", "ENGAGED", str(lead_id), "-", typed=typed)
    assert done.returncode == 2
    assert "is not an id" in done.stderr
    assert client.state(lead_id) == "PENDING"


def test_an_unknown_state_is_a_usage_error_that_lists_the_states(client: Client) -> None:
    lead_id = client.submit()
    for ids in ([str(lead_id)], [str(lead_id), "999999"]):
        done = client.run("set-state", "LOST", *ids)
        assert done.returncode == 2
        assert "PENDING, REACHED_OUT" in done.stderr


def change_of(done: CompletedProcess[str]) -> str:
    found = re.search(r"leadctl undo ([0-9a-f-]{36})", done.stderr)
    assert found, done.stderr
    return found[1]


def test_verbose_prints_the_change_id(client: Client) -> None:
    ids = [str(client.submit()) for _ in range(2)]
    done = client.run("--verbose", "set-state", "ENGAGED", *ids)
    change = change_of(done)
    assert done.stderr.splitlines()[0] == f"change {change}; to undo it: leadctl undo {change}"
    assert client.data("changes", "-n", "1", "-o", "ids") == f"{change}\n"


def test_a_dry_run_prints_results_and_changes_nothing(client: Client) -> None:
    first, second = client.submit(), client.submit()
    client.data("set-state", "DECLINED", str(second))
    arguments = ("set-state", "--from", "PENDING", "ENGAGED", str(first), str(second), "999999")
    done = client.run(*arguments, "--dry-run")
    assert done.returncode == 3
    assert done.stdout == f"{first}\tchanged\tENGAGED\n{second}\tconflict\tDECLINED\n999999\tmissing\t\n"
    assert done.stderr.splitlines()[-1] == "leadctl: 1 of 3 leads would be changed to ENGAGED"
    assert (client.state(first), client.state(second)) == ("PENDING", "DECLINED")


def test_with_o_all_results_are_printed(client: Client) -> None:
    first, second = client.submit(), client.submit()
    client.data("set-state", "DECLINED", str(second))

    def results(*arguments: str, typed: str = "") -> tuple[int, list[tuple[int, str, str | None]]]:
        done = client.run("set-state", *arguments, "-o", "json", typed=typed)
        return done.returncode, [(one["id"], one["result"], one["state"]) for one in json.loads(done.stdout)]

    assert results("ENGAGED", str(first)) == (0, [(first, "changed", "ENGAGED")])
    assert results("ENGAGED", str(first)) == (0, [(first, "unchanged", "ENGAGED")])
    assert results("ENGAGED", "999999") == (5, [(999999, "missing", None)])
    claim = ("--from", "PENDING", "ENGAGED")
    assert results(*claim, str(second)) == (6, [(second, "conflict", "DECLINED")])
    both = [(second, "conflict", "DECLINED"), (999999, "missing", None)]
    assert results(*claim, str(second), "999999") == (3, both)
    assert results("ENGAGED", "-") == (0, [])
    assert client.run("set-state", "ENGAGED", str(first), "-o", "ids").stdout == f"{first}\n"


def test_unchanged_leads_are_reported(client: Client) -> None:
    first, second = str(client.submit()), str(client.submit())
    client.data("set-state", "ENGAGED", first)
    assert client.run("set-state", "ENGAGED", first).stderr == f"lead {first} is already ENGAGED\n"
    assert client.run("set-state", "--dry-run", "ENGAGED", first).stderr == f"lead {first} is already ENGAGED\n"
    both = client.run("set-state", "ENGAGED", first, second)
    assert (both.returncode, both.stderr) == (0, "1 of 2 leads changed to ENGAGED; 1 already ENGAGED\n")
    failed = client.run("set-state", "ENGAGED", first, "999999")
    assert failed.stderr.splitlines()[-1] == "leadctl: 0 of 2 leads changed to ENGAGED; 1 already ENGAGED"


def test_states_in_lower_case(client: Client) -> None:
    lead_id = str(client.submit())
    done = client.run("set-state", "--from", "pending", "reached_out", lead_id)
    assert (done.returncode, done.stderr) == (0, f"lead {lead_id} is REACHED_OUT\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["engagd"], "state: 'ENGAGD' is not a state (did you mean ENGAGED?); the states are PENDING, "),
        (["ENGAGED", "--from", "PENDNG"], "--from: 'PENDNG' is not a state (did you mean PENDING?); the states are "),
        (["LOST"], "state: 'LOST' is not a state; the states are PENDING, "),
    ],
)
def test_a_misspelt_state_has_a_suggestion(client: Client, arguments: list[str], message: str) -> None:
    done = client.run("set-state", *arguments, str(client.submit()))
    assert (done.returncode, done.stderr.startswith(f"leadctl: {message}")) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [("42 reached_out", "REACHED_OUT 42"), ("42 43 engaged", "ENGAGED 42 43"), ("42 -", "STATE 42 -")],
)
def test_the_state_comes_first(client: Client, arguments: str, meant: str) -> None:
    done = client.run("set-state", *arguments.split())
    assert (done.returncode, done.stderr) == (2, f"leadctl: the state comes first: leadctl set-state {meant}\n")


def test_quiet_prints_errors_only(client: Client) -> None:
    done = client.run("--quiet", "set-state", "ENGAGED", str(client.submit()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_repeating_a_command_succeeds(client: Client) -> None:
    arguments = ("set-state", "--from", "PENDING", "REACHED_OUT", str(client.submit()), str(client.submit()))
    assert [client.run(*arguments).returncode for _ in range(2)] == [0, 0]


def test_debug_prints_requests_without_secrets(client: Client) -> None:
    done = client.run("--debug", "set-state", "ENGAGED", str(client.submit()))
    assert "POST " in done.stderr
    assert "/internal/leads/state -> 200" in done.stderr
    credentials = (client.home / ".config/leadctl/credentials.json").read_text()
    assert not any(secret in done.stderr for secret in re.findall(r"eyJ[\w.-]+", credentials))


def test_login_required(anonymous: Client) -> None:
    assert anonymous.run("set-state", "ENGAGED", "1", "2").returncode == 4
