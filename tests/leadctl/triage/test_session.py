"""Decisions, conflicts and undo, between two attorneys on one service."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from threading import Thread
from uuid import UUID, uuid4

import pytest

from leadctl.configuration.credentials import Profile
from leadctl.errors import NotFound, PermissionDenied, TryAgain, UsageError
from leadctl.triage.changes import Decision, Step
from leadctl.triage.cv_files import save_cv
from leadctl.triage.facts import Facts
from leadctl.triage.session import Session
from tests.leadctl.conftest import PASSWORD, Client
from tests.leadctl.proxy import Proxy
from tests.leadctl.triage.conftest import STATES, MakeSession
from tests.system.programs import free_port


def decide(session: Session, state: str) -> str:
    assert session.lead_id is not None
    return session.decide(session.load(session.lead_id), state).text


def test_a_decision_goes_to_the_next_lead(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit(), client.submit()]
    session = make_session(ids)
    assert decide(session, "REACHED_OUT") == f"lead {ids[0]}, Ada Lovelace → REACHED_OUT (u undoes)"
    assert (session.lead_id, client.state(ids[0])) == (ids[1], "REACHED_OUT")
    assert session.skip() == f"lead {ids[1]} skipped (b goes back)"
    assert session.lead_id is None
    change, counts = session.summary()
    assert counts == "1 decided (1 REACHED_OUT), 1 skipped"
    assert re.fullmatch(rf"change [0-9a-f]{{8}}: lead {ids[0]}, Ada Lovelace → REACHED_OUT", change)
    assert session.exit_code == 0


def test_a_conflict_overwrites_nothing_and_names_the_colleague(
    client: Client, admin: Client, make_session: MakeSession
) -> None:
    [lead] = ids = [client.submit()]
    session = make_session(ids)
    facts = session.load(lead)
    admin.data("set-state", "ENGAGED", str(lead))
    result = session.decide(facts, "DECLINED")
    assert (result.step, result.text) == (Step.NOTICE, "harriet moved this to ENGAGED just now")
    assert (client.state(lead), session.lead_id, session.exit_code) == ("ENGAGED", lead, 3)
    assert session.summary() == ["0 decided, 0 skipped, 1 conflict"]
    assert decide(session, "DECLINED") == f"lead {lead}, Ada Lovelace → DECLINED (u undoes)"
    assert session.exit_code == 0


def test_a_lead_that_was_taken_says_so_before_it_is_read(
    client: Client, admin: Client, make_session: MakeSession
) -> None:
    [lead] = ids = [client.submit()]
    session = make_session(ids)
    facts = session.load(lead)
    assert session.taken(facts) is None
    admin.data("set-state", "ENGAGED", str(lead))
    assert session.taken(session.refresh(facts)) == "harriet moved this to ENGAGED just now"
    mine = make_session(ids)
    decide(mine, "DECLINED")
    assert mine.taken(mine.load(lead)) is None, "the session's own decision"


def test_leads_that_a_colleague_took_are_passed_over_but_not_when_going_back(
    client: Client, admin: Client, make_session: MakeSession
) -> None:
    ids = [client.submit() for _ in range(3)]
    session = make_session(ids)
    decide(session, "ENGAGED")
    assert (session.pass_over(), session.lead_id) == (True, ids[2])
    assert (session.counts(), session.exit_code) == ("1 decided (1 ENGAGED), 0 skipped, 1 passed over", 0)
    session.back()
    assert (session.pass_over(), session.lead_id) == (False, ids[1])
    assert (session.skip(), session.skipped) == ("", set())
    session.back()
    decide(session, "DECLINED")
    assert session.counts() == "2 decided (1 ENGAGED, 1 DECLINED), 0 skipped"
    session.undo()
    assert (session.pass_over(), session.lead_id) == (False, ids[1])


def test_undo_goes_back_through_the_sessions_own_changes(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit() for _ in range(3)]
    client.data("set-state", "DECLINED", str(ids[2]))
    session = make_session(ids)
    decide(session, "ENGAGED")
    decide(session, "REACHED_OUT")
    assert decide(session, "DECLINED") == f"you had already moved lead {ids[2]} to DECLINED"
    session.back()
    assert session.undo().text == f"lead {ids[1]} is PENDING again"
    assert session.lead_id == ids[1]
    assert session.undo().text == f"lead {ids[0]} is PENDING again"
    assert session.undo().text == "nothing to undo in this session"
    assert [client.state(lead) for lead in ids] == ["PENDING", "PENDING", "DECLINED"]
    assert session.summary() == ["0 decided, 0 skipped"]


def test_undo_of_a_second_decision_returns_to_the_first(client: Client, make_session: MakeSession) -> None:
    session = make_session([client.submit()])
    decide(session, "ENGAGED")
    session.back()
    decide(session, "DECLINED")
    assert session.counts() == "1 decided (1 DECLINED), 0 skipped"
    session.undo()
    assert session.counts() == "1 decided (1 ENGAGED), 0 skipped"
    assert client.state(session.ids[0]) == "ENGAGED"


def test_undo_leaves_what_a_colleague_changed(client: Client, admin: Client, make_session: MakeSession) -> None:
    [lead] = ids = [client.submit()]
    session = make_session(ids)
    decide(session, "REACHED_OUT")
    admin.data("set-state", "ENGAGED", str(lead))
    result = session.undo()
    assert (result.text, session.lead_id) == ("not undone: harriet moved this to ENGAGED just now", lead)
    assert client.state(lead) == "ENGAGED"
    assert session.undo().text == "nothing to undo in this session"


def test_signing_in_as_someone_else_clears_undo(client: Client, make_session: MakeSession) -> None:
    session = make_session([client.submit(), client.submit()])
    decide(session, "ENGAGED")
    session.sign_in("peter", PASSWORD)
    assert session.undo().text.endswith("is PENDING again"), "the same user may undo"
    decide(session, "ENGAGED")
    session.sign_in("harriet", PASSWORD)
    assert session.user == "harriet"
    assert session.undo().text == "nothing to undo in this session"
    assert "peter" in client.run("whoami").stdout, "later commands run as the profile's user"


def test_a_decision_that_is_unconfirmed_at_another_users_login_is_in_the_summary(
    client: Client, make_session: MakeSession
) -> None:
    [lead] = ids = [client.submit()]
    session = make_session(ids)
    session.unconfirmed = Decision(uuid4(), lead, "PENDING", "ENGAGED")
    session.sign_in("harriet", PASSWORD)
    assert [one.lead_id for one in session.unclear if isinstance(one, Decision)] == [lead]
    assert session.undo().text == "nothing to undo in this session"


def test_nobody_else_signs_in_to_a_profile_with_a_password_command(client: Client, make_session: MakeSession) -> None:
    session = make_session([client.submit()])
    login = session._context.session
    login.profile = replace(login.profile, password_command="echo x")
    with pytest.raises(UsageError, match="profile default logs in as peter by its password command"):
        session.sign_in("harriet", PASSWORD)
    assert "peter" in client.run("whoami").stdout
    session.sign_in("peter", PASSWORD)


def test_two_attorneys_decide_each_lead_once(client: Client, admin: Client, make_session: MakeSession) -> None:
    ids = [client.submit(email=f"{number}@example.com") for number in range(60)]
    sessions = [make_session(ids, user=user) for user in ("peter", "harriet")]
    shown = {lead: sessions[0].load(lead) for lead in ids}  # before either decides, so that they collide
    conflicts: dict[str, list[str]] = {session.user: [] for session in sessions}
    pairs = zip(sessions, ("ENGAGED", "DECLINED"), strict=True)
    workers = [Thread(target=decide_all, args=(*pair, shown, conflicts)) for pair in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    states = list(states_of(client, ids).values())
    decided = [int(session.counts().split()[0]) for session in sessions]
    skipped = sum(lead % 7 == 0 for lead in ids)
    assert sum(decided) == 60 - skipped == len(states) - states.count("PENDING")
    assert sum(map(len, conflicts.values())) == 60 - skipped
    for user, texts in conflicts.items():
        other, state = ("harriet", "DECLINED") if user == "peter" else ("peter", "ENGAGED")
        assert all(re.fullmatch(rf"{other} moved this to {state} (just now|\d+ s ago)", text) for text in texts)
    for session in sessions:
        while session.undo().text != "nothing to undo in this session":
            pass
    assert set(states_of(client, ids).values()) == {"PENDING"}


def decide_all(session: Session, state: str, shown: dict[int, Facts], conflicts: dict[str, list[str]]) -> None:
    """Skip each seventh lead, decide the others, and collect the conflicts."""
    while (lead := session.lead_id) is not None:
        if lead % 7 == 0:
            session.skip()
        elif (result := session.decide(shown[lead], state)).step is Step.NOTICE:
            conflicts[session.user].append(result.text)
            session.advance()


def test_a_lost_response_is_retried_with_the_same_change(client: Client, make_session: MakeSession) -> None:
    [lead] = ids = [client.submit()]
    facts = make_session(ids).load(lead)
    with Proxy(client.url, cuts=[0]) as proxy:
        session = make_session(ids, url=proxy.url)
        assert session.decide(facts, "ENGAGED").text == f"lead {lead}, Ada Lovelace → ENGAGED (u undoes)"
        assert len(set(re.findall(rb'"change":\s*"([0-9a-f-]{36})"', proxy.asked))) == 1
        assert proxy.asked.count(b"POST ") == 2
    [event] = json.loads(client.data("history", str(lead), "-o", "json"))
    assert event["to"] == "ENGAGED"


def test_an_unknown_outcome_allows_only_its_own_retry(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit()]
    facts = make_session(ids).load(ids[0])
    with Proxy(client.url, cuts=[0, 0, 0]) as proxy:
        session = make_session(ids, url=proxy.url)
        with pytest.raises(TryAgain):
            session.decide(facts, "ENGAGED")
        assert (session.exit_code, session.lead_id) == (75, ids[0])
        unconfirmed = session.unconfirmed
        assert unconfirmed
        assert session.summary() == ["0 decided, 0 skipped"]
        refused = f"ENGAGED for lead {ids[0]} is not confirmed: press its key to try again, or s to skip"
        assert session.decide(facts, "DECLINED").text == refused
        assert session.undo().text == refused
        assert session.decide(facts, "ENGAGED").text == f"lead {ids[0]}, Ada Lovelace → ENGAGED (u undoes)"
        assert (session.unconfirmed, session.exit_code) == (None, 0)
        assert len(set(re.findall(rb'"change":\s*"([0-9a-f-]{36})"', proxy.asked))) == 1


def test_each_decision_about_a_lead_is_in_the_summary_until_it_is_undone(
    client: Client, make_session: MakeSession
) -> None:
    [lead] = ids = [client.submit()]
    session = make_session(ids)
    for state in ("REACHED_OUT", "ENGAGED"):
        session.decide(session.load(lead), state)
        session.back()
    first, second, counts = session.summary()
    assert (first.endswith("REACHED_OUT"), second.endswith("ENGAGED"), counts) == (
        True,
        True,
        "1 decided (1 ENGAGED), 0 skipped",
    )
    assert session.undo().text == f"lead {lead} is REACHED_OUT again"
    assert session.undo().text.startswith("not undone: you moved this")
    assert session.summary() == [first, "1 decided (1 REACHED_OUT), 0 skipped"]


def test_a_lead_that_was_moved_by_an_unconfirmed_change_blocks_no_other(
    client: Client, make_session: MakeSession
) -> None:
    ids = [client.submit(), client.submit()]
    with Proxy(client.url, cuts=[0] * 3) as proxy:
        session = make_session(ids, url=proxy.url)
        with pytest.raises(TryAgain):
            session.decide(make_session(ids).load(ids[0]), "ENGAGED")
        assert session.pass_over()
        session.decide(session.load(ids[1]), "DECLINED")
        assert ([one.change for one in session.unclear] != [], session.exit_code) == (True, 75)
    assert client.state(ids[1]) == "DECLINED"


def test_a_change_that_always_fails_can_be_skipped(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit(), client.submit()]
    with Proxy(client.url, cuts=[0] * 3) as proxy:
        session = make_session(ids, url=proxy.url)
        with pytest.raises(TryAgain):
            session.decide(make_session(ids).load(ids[0]), "ENGAGED")
        session.skip()
        assert session.decide(session.load(ids[1]), "DECLINED").text.startswith(
            f"lead {ids[1]}, Ada Lovelace → DECLINED"
        )
        assert ([one.change for one in session.unclear], session.exit_code) == (
            [UUID(re.findall(rb'"change":\s*"([0-9a-f-]{36})"', proxy.asked)[0].decode())],
            75,
        )


def test_a_skipped_change_that_was_applied_can_be_undone(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit(), client.submit()]
    facts = make_session(ids).load(ids[1])
    session = make_session(ids)
    decide(session, "ENGAGED")
    with Proxy(client.url, cuts=[0] * 3) as proxy:
        session._context = make_session(ids, url=proxy.url)._context
        with pytest.raises(TryAgain):
            session.decide(facts, "DECLINED")
        session.skip()
        assert client.state(ids[1]) == "DECLINED"
        assert session.undo().text == f"lead {ids[1]} is PENDING again"
        assert (list(session.unclear), session.exit_code) == ([], 0)
        assert session.counts() == "1 decided (1 ENGAGED), 1 skipped"


def test_undo_of_a_skipped_change_that_was_not_applied_moves_no_other_lead(
    client: Client, make_session: MakeSession
) -> None:
    ids = [client.submit(), client.submit()]
    session = make_session(ids)
    decide(session, "ENGAGED")
    session.unconfirmed = Decision(uuid4(), ids[1], "PENDING", "DECLINED")
    session.skip()
    assert session.undo().text == f"the server has no change of lead {ids[1]} to DECLINED"
    assert list(session.unclear) == []
    assert client.state(ids[0]) == "ENGAGED"
    assert session.undo().text == f"lead {ids[0]} is PENDING again"


def test_a_retry_reports_what_a_colleague_did_since(client: Client, admin: Client, make_session: MakeSession) -> None:
    [lead] = ids = [client.submit()]
    facts = make_session(ids).load(lead)
    with Proxy(client.url, cuts=[0] * 3) as proxy:
        session = make_session(ids, url=proxy.url)
        with pytest.raises(TryAgain):
            session.decide(facts, "DECLINED")
        admin.data("set-state", "ENGAGED", str(lead))
        text = session.decide(facts, "DECLINED").text
    assert text == f"lead {lead} → DECLINED, but somebody has moved it to ENGAGED since"


def test_a_lost_response_to_an_undo_is_retried_with_the_same_undo(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit()]
    facts = make_session(ids).load(ids[0])
    with Proxy(client.url, cuts=[10**6]) as proxy:
        session = make_session(ids, url=proxy.url)
        session.decide(facts, "ENGAGED")
    with Proxy(client.url, cuts=[0, 0, 0]) as proxy:
        other = make_session(ids, url=proxy.url)
        session._context = other._context
        with pytest.raises(TryAgain):
            session.undo()
        assert session.undo().text == f"lead {ids[0]} is PENDING again"
        assert len(set(re.findall(rb'"change":\s*"([0-9a-f-]{36})"', proxy.asked))) == 1
    assert [one["to"] for one in json.loads(client.data("history", str(ids[0]), "-o", "json"))] == [
        "ENGAGED",
        "PENDING",
    ]


def test_an_unreachable_server_decides_nothing(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit()]
    facts = make_session(ids).load(ids[0])
    session = make_session(ids, url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TryAgain):
        session.decide(facts, "ENGAGED")
    assert (session.unconfirmed, session.exit_code, session.lead_id) == (None, 75, ids[0])
    assert client.state(ids[0]) == "PENDING"


def test_a_server_that_asks_to_wait_is_asked_again(client: Client, make_session: MakeSession) -> None:
    ids = [client.submit()]
    facts = make_session(ids).load(ids[0])
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Proxy(client.url, answers=[busy]) as proxy:
        session = make_session(ids, url=proxy.url)
        assert session.decide(facts, "ENGAGED").text == f"lead {ids[0]}, Ada Lovelace → ENGAGED (u undoes)"


def test_an_erased_lead_is_reported(client: Client, admin: Client, make_session: MakeSession) -> None:
    ids = [client.submit(email="gone@example.com"), client.submit()]
    session = make_session(ids)
    facts = session.load(ids[0])
    decide(session, "ENGAGED")
    session.back()
    admin.data("erase", "--email", "gone@example.com", "--yes")
    result = session.decide(facts, "DECLINED")
    assert (result.step, result.text, session.exit_code) == (Step.NOTICE, f"lead {ids[0]} was erased", 0)
    assert session.undo().text == f"lead {ids[0]} was erased"
    with pytest.raises(NotFound):
        session.refresh(facts)


def test_other_leads_of_the_address_are_listed(client: Client, make_session: MakeSession) -> None:
    address = "a*b@example.com"
    ids = [client.submit(email=address), client.submit(email="axxb@example.com"), client.submit(email=address.upper())]
    client.data("set-state", "DECLINED", str(ids[0]))
    facts = make_session(ids).load(ids[2])
    assert facts.others_text == f"same address: {ids[0]} DECLINED"


def test_newer_leads_are_counted(client: Client, make_session: MakeSession) -> None:
    session = make_session([client.submit()])
    assert session.newer({"state": ["PENDING"]}) == 0
    client.data("set-state", "DECLINED", str(client.submit()))
    client.submit()
    assert session.newer({"state": list(STATES[:1])}) == 1


def test_a_password_command_renews_an_expired_login(client: Client, make_session: MakeSession) -> None:
    client.data(
        "login", "--profile", "job", "-u", "peter", "--password-command", f"echo {PASSWORD!r}".replace("'", '"')
    )
    client.data("profiles", "use", "job")
    session = make_session([client.submit()])
    expire(client, "job")
    session = make_session(session.ids)
    assert decide(session, "ENGAGED").endswith("(u undoes)")


def test_an_expired_login_is_reported(client: Client, make_session: MakeSession) -> None:
    session = make_session([client.submit()])
    facts = session.load(session.ids[0])
    session._context.session.profile = expired(session)
    with pytest.raises(PermissionDenied, match="is not valid"):
        session.decide(facts, "ENGAGED")
    assert session.unconfirmed is None
    session.sign_in("peter", PASSWORD)
    assert session.decide(facts, "ENGAGED").text.endswith("(u undoes)")


def states_of(client: Client, ids: list[int]) -> dict[int, str]:
    rows = (line.split("\t") for line in client.data("list", "--columns", "id,state").splitlines())
    return {int(lead): state for lead, state in rows if int(lead) in ids}


def expire(client: Client, profile: str) -> None:
    """Make the stored token of a profile expire."""
    file = client.home / ".config/leadctl/credentials.json"
    data = json.loads(file.read_text())
    data["profiles"][profile]["expires_at"] = 1
    file.write_text(json.dumps(data))


def expired(session: Session) -> Profile:
    return replace(session._context.session.profile, expires_at=1.0, name=None)


def test_a_cv_is_saved_under_the_displayed_name(client: Client, make_session: MakeSession, tmp_path: Path) -> None:
    lead = client.submit(cv=b"x", cv_name="cv.pdf")
    facts = make_session([lead]).load(lead)
    digest = b64encode(sha256(b"x").digest()).decode()
    name = "Content-Disposition: attachment; filename*=UTF-8''cv.exe"
    answer = f"HTTP/1.1 200 OK\r\n{name}\r\nRepr-Digest: sha-256=:{digest}:\r\nContent-Length: 1\r\n\r\nx".encode()
    with Proxy(client.url, answers=[answer]) as proxy:
        assert save_cv(make_session([lead], url=proxy.url).api, facts, tmp_path) == tmp_path / f"{lead}-cv.pdf"
