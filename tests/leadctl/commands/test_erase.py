"""leadctl erase."""

from tests.leadctl.conftest import Office


def test_a_dry_run_shows_and_yes_erases(admin: Office) -> None:
    ids = [admin.submit(email="erased@example.com") for _ in range(2)]
    other = admin.submit(email="not-erased@example.com")
    admin.data("set-state", "ENGAGED", str(ids[1]))
    listing = f"{ids[0]}\tPENDING\n{ids[1]}\tENGAGED\n"
    looked = admin.run("erase", "--email", "erased@example.com", "--dry-run")
    assert (looked.returncode, looked.stdout) == (0, listing)
    assert looked.stderr == "2 leads, 2 CVs, 4 mails would be erased\n"
    done = admin.run("erase", "--email", "ERASED@example.com", "--yes")
    assert (done.returncode, done.stdout) == (0, listing)
    assert done.stderr.splitlines()[0] == "2 leads, 2 CVs, 4 mails erased"
    assert "Maildir" in done.stderr.splitlines()[1], "the service has no relay, and has sent their mails there"
    assert admin.run("show", str(ids[0])).returncode == 5
    assert admin.state(other) == "PENDING"
    again = admin.run("erase", "--email", "erased@example.com", "--yes")
    assert (again.returncode, again.stdout) == (5, "")
    assert again.stderr == "leadctl: no lead has the address erased@example.com\n"


def test_without_a_terminal_it_must_be_told_to(admin: Office) -> None:
    lead_id = admin.submit(email="asked@example.com")
    done = admin.run("erase", "--email", "asked@example.com", typed="y\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert admin.state(lead_id) == "PENDING"


def test_whom_it_does_not_take(admin: Office) -> None:
    assert admin.run("erase", "--email", "*@example.com", "--yes").returncode == 5
    assert admin.run("erase", "--email", "nobody", "--yes").returncode == 2
    assert admin.run("erase").returncode == 2


def test_an_attorney_may_not(office: Office) -> None:
    office.submit(email="safe@example.com")
    assert office.run("erase", "--email", "safe@example.com", "--yes").returncode == 4
    assert office.run("export-person", "--email", "safe@example.com").returncode == 4
