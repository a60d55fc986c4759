"""leadctl erase."""

from tests.intake.workers.test_mail import wait_for
from tests.leadctl.conftest import Client


def test_a_dry_run_lists_the_leads_and_yes_erases_them(admin: Client, worker: None) -> None:
    ids = [admin.submit(email="erased@example.com") for _ in range(2)]
    wait_for(lambda: "\tsent\t" in admin.data("mail", "list", "--lead", str(ids[0])))
    other = admin.submit(email="not-erased@example.com")
    admin.data("set-state", "ENGAGED", str(ids[1]))
    listing = f"{ids[0]}\tPENDING\n{ids[1]}\tENGAGED\n"
    preview = admin.run("erase", "--email", "erased@example.com", "--dry-run")
    assert (preview.returncode, preview.stdout) == (0, listing)
    assert preview.stderr == "2 leads, 2 CVs, 4 mails would be erased\n"
    done = admin.run("erase", "--email", "ERASED@example.com", "--yes")
    assert (done.returncode, done.stdout) == (0, listing)
    assert done.stderr.splitlines()[0] == "2 leads, 2 CVs, 4 mails erased"
    assert "Maildir" in done.stderr.splitlines()[1], "without a relay, mails are in the maildir"
    assert admin.run("show", str(ids[0])).returncode == 5
    assert admin.state(other) == "PENDING"
    again = admin.run("erase", "--email", "erased@example.com", "--yes")
    assert (again.returncode, again.stdout) == (5, "")
    assert again.stderr == "leadctl: no lead has the address erased@example.com\n"


def test_without_a_terminal_yes_is_required(admin: Client) -> None:
    lead_id = admin.submit(email="asked@example.com")
    done = admin.run("erase", "--email", "asked@example.com", typed="y\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert admin.state(lead_id) == "PENDING"


def test_erase_accepts_no_wildcard(admin: Client) -> None:
    assert admin.run("erase", "--email", "*@example.com", "--yes").returncode == 5
    assert admin.run("erase", "--email", "nobody", "--yes").returncode == 2
    assert admin.run("erase").returncode == 2


def test_attorneys_are_not_allowed(client: Client) -> None:
    client.submit(email="safe@example.com")
    assert client.run("erase", "--email", "safe@example.com", "--yes").returncode == 4
    assert client.run("export-person", "--email", "safe@example.com").returncode == 4
