"""A program that uses the generated clients: submits a lead with a CV, logs in, lists and downloads.

Its arguments are the service's URL, a username and a password; it prints the results as JSON.
"""

import json
import sys
from io import BytesIO

from generated_internal import AuthenticatedClient, Client
from generated_internal.api.default import get_cv, get_leads, patch_lead, post_login, post_persons_export, post_undo
from generated_internal.api.default import post_leads_state as change
from generated_internal.models import BulkChange, Credentials, PersonModel, StateChange, Token, Undo
from generated_public import Client as PublicClient
from generated_public.api.default import get_healthz, post_lead
from generated_public.models import PostLeadBody, Problem
from generated_public.types import File


def submit(url: str, cv: File) -> tuple[int, int, str]:
    """Return the status of a submission, and the status and the error's code of one without a name."""
    with PublicClient(base_url=url) as client:
        assert get_healthz.sync_detailed(client=client).status_code == 200
        body = PostLeadBody(email="ada@example.com", f_name="Ada", l_name="Lovelace", cv=cv)
        saved = post_lead.sync_detailed(client=client, body=body, idempotency_key="a-key")
        refused = post_lead.sync_detailed(
            client=client, body=PostLeadBody(email="ada@example.com", f_name="", l_name="Lovelace", cv=cv)
        )
        assert isinstance(refused.parsed, Problem)
        return int(saved.status_code), int(refused.status_code), refused.parsed.errors[0].code.value


def token(url: str, username: str, password: str) -> str:
    """Log in."""
    with Client(base_url=url) as client:
        found = post_login.sync(client=client, body=Credentials(username=username, password=password))
        assert isinstance(found, Token)
        return str(found.access_token)


def read(client: AuthenticatedClient) -> dict[str, object]:
    """List, download, change, undo and export."""
    [lead] = get_leads.sync(client=client, q="ada")
    whole = get_cv.sync(lead.id, client=client)
    part = get_cv.sync_detailed(lead.id, client=client, range_="bytes=0-3")
    changed = patch_lead.sync_detailed(lead.id, client=client, body=StateChange(status="REACHED_OUT", from_="PENDING"))
    outcome = change.sync(client=client, body=BulkChange(ids=[lead.id], status="PENDING"))
    undone = post_undo.sync(outcome.change, client=client, body=Undo())
    return {
        "lead": {"email": lead.email, "CV_name": lead.cv_name, "state": lead.state},
        "cv": whole.payload.read().decode(),
        "part": [int(part.status_code), part.parsed.payload.read().decode()],
        "changed": int(changed.status_code),
        "undone": undone.results[0].result.value,
        "export": post_persons_export.sync(client=client, body=PersonModel(email=lead.email)).payload.read(2).decode(),
    }


def main() -> None:
    """Run all of it."""
    url, username, password = sys.argv[1:]
    submitted = submit(url, File(payload=BytesIO(b"%PDF-1.4 a CV"), file_name="cv.pdf", mime_type="application/pdf"))
    with AuthenticatedClient(base_url=url, token=token(url, username, password)) as client:
        sys.stdout.write(json.dumps({"submitted": submitted, **read(client)}))


main()
