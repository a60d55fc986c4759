"""Baseline: a typical FastAPI implementation that reads the file whole, uses the ORM and sends two mails per request.

Its settings are favourable: one uvicorn[standard] process without an access log (ours logs each request), and SQLite in
WAL mode, where writers wait for each other instead of failing, with our durability. The endpoint is async because its
mails are, and its ORM runs in Starlette's threads: a plain function would need an event loop for each mail.
"""

import os
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated, Any

import aiosmtplib
from fastapi import FastAPI, File, Form, UploadFile
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

URL = os.environ["SEED_DATABASE_URL"]
SMTP_PORT = int(os.environ.get("SEED_SMTP_PORT", "0"))  # 0: no mail is sent
ATTORNEY = "attorney@firm.example"

engine = create_engine(URL, connect_args={"timeout": 60} if URL.startswith("sqlite") else {})
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Lead(Base):
    __tablename__ = "leads"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(index=True)
    f_name: Mapped[str]
    l_name: Mapped[str]
    state: Mapped[str] = mapped_column(index=True, default="PENDING")
    created_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))
    cv_name: Mapped[str]
    cv: Mapped[bytes]


if engine.dialect.name == "sqlite":

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")


Base.metadata.create_all(engine)
app = FastAPI()


def save(lead: Lead) -> int:
    with Session() as session:
        session.add(lead)
        session.commit()
        return lead.id


async def send(to: str, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "intake@firm.example", to, subject
    message.set_content(text)
    await aiosmtplib.send(message, hostname="127.0.0.1", port=SMTP_PORT)


async def post_lead(
    email: Annotated[str, Form()],
    f_name: Annotated[str, Form()],
    l_name: Annotated[str, Form()],
    cv: Annotated[UploadFile, File(alias="CV")],
) -> None:
    content = await cv.read()
    lead = Lead(email=email, f_name=f_name, l_name=l_name, cv_name=cv.filename or "", cv=content)
    lead_id = await run_in_threadpool(save, lead)
    if SMTP_PORT:
        await send(email, "We have your CV", "Thank you. We have received what you sent, and will be in touch.")
        await send(ATTORNEY, "A new lead", f"Lead {lead_id}: {f_name} {l_name} <{email}>")


app.add_api_route("/leads/", post_lead, methods=["POST"], status_code=204)
