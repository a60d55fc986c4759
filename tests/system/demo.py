"""Demo (`make demo`): the main workflow with the real programs and a temporary database."""

import hashlib
import mailbox
import os
import subprocess
import sys
import tempfile
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import httpx2

from tests.system.programs import INTAKE, LEADCTL, Service, clean_environment

PASSWORD = "correct horse battery staple"


def main() -> None:
    """Run every step; the first failure ends the demo with its reason and exit code 1."""
    with tempfile.TemporaryDirectory(prefix="leadctl-demo-") as name:
        directory = Path(name)
        environment = clean_environment(
            directory,
            INTAKE_DATABASE_URL=f"sqlite:///{directory / 'demo.db'}",
            INTAKE_MAIL_FROM="Marple & Wimsey <intake@marple-wimsey.example>",
            INTAKE_ATTORNEY_EMAILS="harriet@marple-wimsey.example",
            INTAKE_RATE_LIMIT="",  # use the defaults
            INTAKE_CONFIRMATIONS_PER_HOUR="",
            INTAKE_MAX_UPLOADS="",
            COLUMNS="100",
        )
        with Service(environment, directory) as service:
            environment["LEADCTL_URL"] = service.url
            Demo(directory, environment, service.url).run()


class Demo:
    """The steps of the demo, in a temporary directory."""

    def __init__(self, directory: Path, environment: dict[str, str], url: str) -> None:
        self.directory, self.environment, self.url = directory, environment, url

    def run(self) -> None:
        """Run the steps of a prospect, an administrator and an attorney."""
        cv = self.directory / "Ada Lovelace.pdf"
        cv.write_bytes(pdf("Ada Lovelace: analyst, mathematician"))
        title(f"The service runs at {self.url} with a new SQLite database")
        self.submit(cv)
        title("An administrator creates the first user on the server; the attorney logs in")
        self.command(INTAKE, "create-user", "harriet", "--password-stdin", typed=PASSWORD)
        self.command(LEADCTL, "login", "--username", "harriet", "--password-stdin", typed=PASSWORD)
        title("The attorney lists the leads, claims one and shows it")
        [lead_id] = self.command(LEADCTL, "list", "--state", "PENDING", "-o", "ids").split()
        self.command(LEADCTL, "list", "-o", "table")
        self.command(LEADCTL, "set-state", "--from", "PENDING", "REACHED_OUT", lead_id)
        if "REACHED_OUT" not in self.command(LEADCTL, "show", lead_id):
            fail("the lead did not change its state")
        title("The downloaded CV is identical to the submitted one")
        path = Path(self.command(LEADCTL, "download-cv", lead_id, "-d", str(self.directory)).strip())
        submitted, downloaded = sha256(cv), sha256(path)
        print(f"submitted  {submitted}\ndownloaded {downloaded}")
        if submitted != downloaded:
            fail("the downloaded CV differs from the submitted one")
        title("The service sent two mails: to the prospect and to the attorney")
        self.show_mails()
        title("Done; every step succeeded.")
        print("Next: run `make serve`, and `.venv/bin/leadctl --help` in another terminal.")

    def submit(self, cv: Path) -> None:
        """Submit the form as `curl -F` does."""
        title("A prospect submits a lead over HTTP")
        form = {"email": "ada@example.com", "f_name": "Ada", "l_name": "Lovelace"}
        fields = " ".join(f"-F {name}={value}" for name, value in form.items())
        print(f"$ curl {fields} -F 'CV=@{cv.name}' {self.url}/leads/")
        with cv.open("rb") as file:
            answer = httpx2.post(f"{self.url}/leads/", data=form, files={"CV": (cv.name, file)})
        print(f"HTTP {answer.status_code} {answer.text}")
        if answer.status_code != 204:
            fail("the lead was not accepted")

    def command(self, program: str, *arguments: str, typed: str = "") -> str:
        """Run a program as in a shell and return its standard output."""
        shown = " ".join(argument if " " not in argument else repr(argument) for argument in arguments)
        print(f"$ {Path(program).name} {shown}".replace(str(self.directory), "."))
        done = subprocess.run(
            [program, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.directory,
            timeout=60,
        )
        print((done.stdout + done.stderr).replace(str(self.directory), "."), end="")
        if done.returncode:
            fail(f"exit code {done.returncode}")
        return done.stdout

    def show_mails(self) -> None:
        """Wait for the two mails and print them."""
        box = mailbox.Maildir(self.directory / "demo.db.maildir")
        until = time.monotonic() + 10
        while len(box) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        if len(box) != 2:
            fail(f"expected 2 mails, found {len(box)}")
        for key in sorted(box.keys()):
            show_mail(message_from_bytes(box.get_bytes(key), _class=EmailMessage, policy=default))


def show_mail(message: EmailMessage) -> None:
    """Print a mail's headers and plain text."""
    for header in ("From", "To", "Subject", "Auto-Submitted"):
        print(f"    {header}: {message[header]}")
    body = message.get_body(("plain",))
    text = body.get_content() if body else fail("a mail has no plain-text part")
    print("\n".join(f"    {line}" for line in ("", *text.splitlines(), "", "-" * 60)))


def pdf(text: str) -> bytes:
    """Return a PDF with `text` on one page."""
    stream = f"BT /F1 18 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return body + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def title(text: str) -> None:
    """Print a step's title."""
    print(f"\n== {text}", flush=True)


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fail(reason: str) -> str:
    """End the demo with an error message and exit code 1."""
    sys.exit(f"the demo failed: {reason}")


if __name__ == "__main__":
    os.environ.pop("LEADCTL_TOKEN", None)
    main()
