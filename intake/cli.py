"""The `intake` command: serve, migrate, and make users on the server itself."""

import gc
import getpass
import logging
import os
import signal
import sys
from collections import Counter
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

try:
    import uvicorn

    from intake.app import Surface, create_app
    from intake.cvs import orphans
    from intake.database import Database
    from intake.database.migrations import is_migrated, migrate
    from intake.errors import DatabaseNotMigrated, DatabaseUnavailable, IntakeError, SettingsInvalid
    from intake.http.protocol import ConnectionLimiter, limited_protocol, raise_open_file_limit
    from intake.leads import erasure
    from intake.metrics import Metrics
    from intake.settings import Settings, read_environment, unknown_names
    from intake.settings.checks import run_checks
    from intake.settings.parsers import interval_s
    from intake.users import accounts, authentication
    from intake.workers import WORKER_CONNECTIONS, Workers
except ModuleNotFoundError as missing:
    if (missing.name or "").split(".")[0] in ("intake", "leadctl"):
        raise
    raise SystemExit(
        f"intake: the service's packages are not installed ({missing.name} is missing);"
        " install them with: pip install 'leadctl[server]'"
    ) from None

KEEP_ALIVE_S = 5
GRACEFUL_STOP_S = 10
MOST_ALLOWED_S = 86400

log = logging.getLogger("intake")
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Run the lead-intake service. Settings are read from the environment and from .env in the working directory."""
    if show_version:
        typer.echo(f"intake {version('leadctl')}")
        raise typer.Exit


@app.command()
def serve(
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Send mail from this process, too.")] = True,
    surface: Annotated[
        Surface, typer.Option(help="What is served: prospects' door, that of users and operators, or both.")
    ] = Surface.ALL,
    host: Annotated[str | None, typer.Option(help="Where to listen; counts more than INTAKE_HOST.")] = None,
    port: Annotated[str | None, typer.Option(help="Where to listen; counts more than INTAKE_PORT.")] = None,
) -> None:
    """Run the service: its doors, and the worker that sends mail (with any surface, unless --no-worker).

    An embedded SQLite database is made and migrated by itself; PostgreSQL is migrated with `intake migrate`.
    """
    settings = _settings(serving=surface is not Surface.PUBLIC, INTAKE_HOST=host, INTAKE_PORT=port)
    if settings.sqlite_file is not None:
        migrate(settings)
    database = _database(settings)
    service = create_app(settings, with_worker=worker, surface=surface)
    raise_open_file_limit(settings.max_connections)
    _log_what_to_know(settings, database)
    database.close()
    gc.collect()
    gc.freeze()  # what stays for good is not looked through again: each time was a stall of 90 ms
    server(service, settings).run()


def server(service: Any, settings: Settings) -> uvicorn.Server:
    """Return what serves an ASGI application as the settings say."""
    config = uvicorn.Config(
        service,
        host=settings.host,
        port=settings.port,
        http=limited_protocol(ConnectionLimiter(settings)),
        ws="none",
        proxy_headers=False,  # its default believes any local peer's X-Forwarded-For
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
    )
    return uvicorn.Server(config)


@app.command(name="worker")
def worker_command() -> None:
    """Send mail, and nothing else: any number of these may run beside any number of services."""
    settings = _settings()
    database = _database(settings, connections=WORKER_CONNECTIONS)
    metrics = Metrics()
    workers = Workers(settings, database, metrics)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # inherited by all threads, so that sigwait receives them
    if settings.metrics_port is not None:
        _serve_metrics(metrics, settings.host, settings.metrics_port)
    workers.start()
    log.info("sending mail")
    signal.sigwait(signals)
    workers.stop()
    database.close()


def _serve_metrics(metrics: Metrics, host: str, port: int) -> None:
    try:
        used_port = metrics.serve(host, port)
    except OSError as error:
        raise SettingsInvalid([f"INTAKE_METRICS_PORT: can't listen on {host}:{port}: {error.strerror}"]) from error
    log.info("metrics on http://%s:%d/metrics", host, used_port)


@app.command(name="migrate")
def migrate_command() -> None:
    """Bring the database's schema up to this version's; SQLite's file is made where there is none."""
    migrate(_settings())
    typer.echo("intake: the database is migrated", err=True)


@app.command()
def collect_orphans(
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Bind the store to this database, lift a hold, and collect any number of them."),
    ] = False,
) -> None:
    """Move what is in INTAKE_CV_STORE for over a day and belongs to no lead to trash, as the worker does daily.

    What lay in trash for 30 days is deleted. A store that does not match the database is left alone: see
    docs/operations.md, Restoring.
    """
    settings = _settings()
    if not settings.cv_store:
        raise SettingsInvalid(["INTAKE_CV_STORE is not set: CVs are in the database, where there are no orphans"])
    with closing(_database(settings)) as database:
        counts = sum(orphans.collect(database, settings.cv_store, adopt=adopt), Counter[str]())
    typer.echo(
        f"intake: orphans moved to trash: {counts['trashed']}, deleted from trash: {counts['deleted']},"
        f" moved back: {counts['restored']}; CVs missing from the store: {counts['missing']}",
        err=True,
    )


@app.command()
def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is due, and erase nothing.")] = False,
) -> None:
    """Erase the leads whose time in their state is over (INTAKE_RETENTION_DAYS), as the worker does daily.

    What is left in a SQLite file of what was erased before is swept out, too, however large the file is.
    """
    settings = _settings()
    if not settings.retention_days and (dry_run or settings.sqlite_file is None):
        raise SettingsInvalid(["INTAKE_RETENTION_DAYS is not set: leads are kept"])
    with closing(_database(settings)) as database:
        counts = (
            erasure.preview_retention(database, settings.retention_days)
            if dry_run
            else dict.fromkeys(settings.states, 0)
        )
        if not dry_run:
            for state, count in erasure.purge(database, settings.retention_days):
                counts[state] += count
        for state, _ in settings.retention_days:
            typer.echo(f"intake: {state}: leads {'due' if dry_run else 'erased'}: {counts[state]}", err=True)
        if not dry_run and settings.sqlite_file is not None:
            is_swept = erasure.purge_deleted_data(database, ignore_size=True)
            told = "no traces of erased leads are" if is_swept else "traces of erased leads are still"
            typer.echo(f"intake: {told} in the database's files{'' if is_swept else '; run this again'}", err=True)


@app.command()
def check() -> None:
    """Say what of the settings is weak, a line each, and what to do; exit 1 where anything is."""
    settings = _settings(serving=True)
    found = run_checks(settings, Path.cwd())
    if not accounts.any_user(_database(settings)):
        found.append("there is no user yet: make the first administrator with: intake create-user NAME")
    for line in found:
        typer.echo(line)
    if found:
        raise typer.Exit(1)
    typer.echo("intake: nothing weak was found", err=True)


@app.command()
def create_user(
    username: Annotated[str, typer.Argument(help="1 to 64 of letters, digits, '.', '_', '-' and '@'.")],
    password_stdin: PasswordStdin = False,
    role: Annotated[
        str | None, typer.Option(help="admin or attorney; by default admin while there is none, then attorney.")
    ] = None,
) -> None:
    """Make a user."""
    settings = _settings()
    database = _database(settings)
    given = accounts.create_user(
        database,
        username=username,
        password=_new_password(password_stdin),
        role=role,
        min_characters=settings.min_password_characters,
    )
    typer.echo(f"intake: made the user {username}, an {given}", err=True)


@app.command()
def set_password(username: str, password_stdin: PasswordStdin = False) -> None:
    """Give a user a new password; every token of the old one ends."""
    settings = _settings()
    accounts.set_password(
        _database(settings),
        username=username,
        password=_new_password(password_stdin),
        min_characters=settings.min_password_characters,
    )
    typer.echo(f"intake: {username} has a new password", err=True)


@app.command()
def allow_login(
    username: str,
    for_: Annotated[str, typer.Option("--for", help="For how long: 30m, 1h; at most 1d.")] = "1h",
) -> None:
    """Have a user's logins go ahead of all others for a while, without a wait for what others guessed.

    That is for six tries a minute, three of them from one address; replicas without INTAKE_LIMITS_STORE count apart.
    """
    authentication.allow(_database(_settings()), username=username, for_s=_allowed_s(for_))
    typer.echo(f"intake: {username} may log in ahead of others for {for_}", err=True)


def main() -> NoReturn:
    """Run the command line; an error is told in one line, without a traceback."""
    try:
        app(prog_name="intake")
    except SettingsInvalid as error:
        sys.exit("\n".join(f"intake: {fault}" for fault in str(error).splitlines()))
    except DatabaseUnavailable as error:
        sys.exit(f"intake: the database can't be used: {error.reason}")
    except IntakeError as error:
        sys.exit(f"intake: {error}")
    except UnicodeError:
        sys.exit("intake: what was typed is not UTF-8")
    sys.exit(0)


def _settings(*, serving: bool = False, **flags: str | None) -> Settings:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    given = {name: value for name, value in flags.items() if value is not None}
    environment = {**read_environment(os.environ, Path.cwd()), **given}
    for name in unknown_names(environment):
        log.warning("%s is set, and is no setting of this service", name)
    return Settings.from_environment(environment, serving=serving)


def _database(settings: Settings, *, connections: int = 1) -> Database:
    database = Database(settings, connections=connections)
    if not is_migrated(database):
        raise DatabaseNotMigrated("the database is not migrated; run: intake migrate")
    return database


def _log_what_to_know(settings: Settings, database: Database) -> None:
    if settings.smtp_server is None:
        log.info("INTAKE_SMTP_URL is not set: mails are written to %s", settings.beside_database(".maildir"))
    if not accounts.any_user(database):
        log.info("there is no user yet; make the first administrator with: intake create-user NAME")


def _allowed_s(text: str) -> float:
    try:
        seconds = interval_s(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= MOST_ALLOWED_S:
        raise typer.BadParameter(f"--for is {text!r}; expected a time such as 30m or 1h, at most 1d")
    return seconds


def _new_password(from_stdin: bool) -> str:
    if from_stdin and sys.stdin is not None:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask at: use --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise typer.BadParameter("the two passwords differ")
    return password
