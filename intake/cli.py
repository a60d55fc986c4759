"""The `intake` command: serve, migrate and administer the service."""

import gc
import getpass
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

try:
    from intake import logs
    from intake.app import Surface, create_app
    from intake.backups.backup import back_up
    from intake.backups.files import Manifest, listed
    from intake.backups.restore import restore
    from intake.backups.restore import verify as verify_backup
    from intake.cv_text import sandbox
    from intake.cvs import orphans
    from intake.database import Database, server_checks
    from intake.database.migrations import migrate, needed_revision, schema_error
    from intake.errors import DatabaseNotMigrated, DatabaseUnavailable, IntakeError, SettingsInvalid
    from intake.form import serving
    from intake.form.definition import FormDefinition, load_definition
    from intake.http.client_address import Client, parse_address
    from intake.http.protocol import raise_open_file_limit
    from intake.leads import erasure
    from intake.mail.messages import MessageBuilder
    from intake.metrics import Metrics
    from intake.processes import ProcessGroup, SharedSocket, listen
    from intake.public_api.form_pages import FormPages
    from intake.server import Server, limit_shutdown
    from intake.settings import Settings, read_environment, unknown_names
    from intake.settings.checks import run_checks
    from intake.settings.parsers import duration_s
    from intake.users import accounts, authentication
    from intake.workers import WORKER_CONNECTIONS, Workers
except ModuleNotFoundError as missing:
    if (missing.name or "").split(".")[0] in ("intake", "leadctl"):
        raise
    raise SystemExit(
        f"intake: the service's packages are not installed ({missing.name} is missing);"
        " install them with: pip install 'leadctl[server]'"
    ) from None

log = logging.getLogger("intake")
PUBLIC_NICENESS = 5  # floods of the public API must not delay the internal one

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
Username = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
BackupDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="The backup's directory.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Run and administer the lead intake service.

    Settings come from the environment and from the file .env in the working directory.
    """
    if show_version:
        typer.echo(f"intake {version('leadctl')}")
        raise typer.Exit


@app.command()
def serve(
    worker: Annotated[
        bool,
        typer.Option("--worker/--no-worker", help="Run the background workers in this process, too."),
    ] = True,
    surface: Annotated[Surface, typer.Option(help="APIs to serve: public, internal, or all.")] = Surface.ALL,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; overrides INTAKE_HOST.")
    ] = None,
    port: Annotated[str | None, typer.Option(metavar="PORT", help="Port to listen on; overrides INTAKE_PORT.")] = None,
    processes: Annotated[
        str | None, typer.Option(metavar="N", help="Processes that serve the port; overrides INTAKE_PROCESSES.")
    ] = None,
) -> None:
    """Run the APIs and the background workers.

    A SQLite database is created and migrated automatically; run `intake migrate` for PostgreSQL.
    """
    flags = {"INTAKE_HOST": host, "INTAKE_PORT": port, "INTAKE_PROCESSES": processes}
    settings = _settings(serving=surface is not Surface.PUBLIC, is_logging=True, **flags)
    if settings.sqlite_file is not None:
        migrate(settings)
    with _database(settings) as database:
        has_users = accounts.any_user(database)

    def log_hints() -> None:
        _log_hints(settings, has_users=has_users)
        if surface is not Surface.INTERNAL:
            _log_form(settings)

    if settings.processes > 1:
        log_hints()
        _serve_together(settings, worker=worker, surface=surface)
    else:
        _serve(settings, Metrics(), worker=worker, surface=surface, on_created=log_hints)


def _serve_together(settings: Settings, *, worker: bool, surface: Surface) -> None:
    """Serve with several processes, the first of which runs the workers."""
    listening = listen(settings.host, settings.port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host

    def log_start() -> None:
        log.info("running on http://%s:%d with %d processes", host, listening.getsockname()[1], settings.processes)

    stop_within_s = settings.drain_s + settings.shutdown_grace_s
    number, on_started = ProcessGroup(settings.processes, listening, stop_within_s=stop_within_s).run(log_start)
    metrics = Metrics(process=(number, settings.processes))
    if settings.metrics_port is not None:
        _serve_metrics(metrics, settings.host, settings.metrics_port and settings.metrics_port + number)
    with_worker = worker and number == 0
    log.info("process %d has pid %d%s", number, os.getpid(), " and runs the workers" if with_worker else "")
    _serve(settings.shared(), metrics, worker=with_worker, surface=surface, shared=listening, on_started=on_started)


def _serve(
    settings: Settings,
    metrics: Metrics,
    *,
    worker: bool,
    surface: Surface,
    shared: SharedSocket | None = None,
    on_created: Callable[[], None] = lambda: None,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    service = create_app(settings, with_worker=worker, surface=surface, metrics=metrics)
    on_created()
    raise_open_file_limit(settings.max_connections)
    gc.collect()
    gc.freeze()  # long-lived objects are not collected again: each collection stalled requests for 90 ms
    if surface is Surface.PUBLIC and hasattr(os, "nice"):  # Windows has none
        os.nice(PUBLIC_NICENESS)
    Server(service, settings, metrics, on_started=on_started).run([shared] if shared else None)


@app.command(name="worker")
def worker_command() -> None:
    """Run the background workers only.

    They deliver mail, have CVs scanned, extract their text, and do maintenance. Any number of worker processes can run
    beside any number of services.
    """
    settings = _settings(is_logging=True)
    with _database(settings, connections=WORKER_CONNECTIONS) as database:
        metrics = Metrics()
        metrics.watch_database(database, schema=needed_revision())
        workers = Workers(settings, database, metrics)
        signals = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # inherited by all threads, so that sigwait receives them
        if settings.metrics_port is not None:
            _serve_metrics(metrics, settings.host, settings.metrics_port)
        workers.start()
        log.info("sending mail")
        signal.sigwait(signals)
        limit_shutdown(settings.shutdown_grace_s)
        workers.stop()
        workers.join()


def _serve_metrics(metrics: Metrics, host: str, port: int) -> None:
    try:
        log.info("metrics on http://%s:%d/metrics", host, metrics.serve(host, port))
    except OSError as error:
        raise SettingsInvalid([f"INTAKE_METRICS_PORT: can't listen on {host}:{port}: {error.strerror}"]) from error


@app.command(name="migrate")
def migrate_command() -> None:
    """Migrate the database to this version.

    A SQLite file is created if there is none. A newer schema that this version can use is not changed.
    """
    if migrate(_settings()):
        typer.echo("intake: the database is migrated", err=True)
    else:
        typer.echo("intake: the database has a newer schema, which this version can use; nothing was changed", err=True)


@app.command()
def collect_orphans(
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt", help="After a restore: accept the store as this database's, and collect any number of orphans."
        ),
    ] = False,
) -> None:
    """Move orphaned CVs to trash, and delete old ones from it.

    Orphans are objects in INTAKE_CV_STORE that belong to no lead. They are moved a day after they were written, and
    deleted after 30 days in the trash. The maintenance worker runs this daily. A store that does not match the
    database is not changed: see docs/operations.md, Restoring. The exit code is 1 if CVs are missing from the store.
    """
    settings = _settings()
    if not settings.cv_store:
        raise SettingsInvalid(["INTAKE_CV_STORE is not set: CVs are stored in the database, which has no orphans"])
    with _database(settings) as database:
        counts = sum(orphans.collect(database, settings.cv_store, adopt=adopt), Counter[str]())
    typer.echo(
        f"intake: orphans moved to trash: {counts['trashed']}, deleted from trash: {counts['deleted']},"
        f" moved back: {counts['restored']}; CVs missing from the store: {counts['missing']}",
        err=True,
    )
    if counts["missing"]:
        raise typer.Exit(1)


@app.command(name="backup")
def backup_command(directory: BackupDirectory) -> None:
    """Copy the database and its CVs while the service runs.

    Includes the CVs in INTAKE_CV_STORE. DIR must be new, or contain an interrupted backup, which is continued. The exit
    code is 1 if a CV in the store is missing or damaged; the backup then contains everything else.
    """
    settings = _settings()
    with _database(settings) as database:
        made = back_up(settings, database, directory, _progress)
    typer.echo(f"intake: {_contents(made)} are in {directory}", err=True)
    if made.damaged:
        typer.echo(f"intake: CVs missing or damaged in the store: {listed(made.damaged)}", err=True)
        raise typer.Exit(1)


@app.command(name="restore")
def restore_command(
    directory: BackupDirectory,
    verify: Annotated[bool, typer.Option("--verify", help="Only check the backup's files; restore nothing.")] = False,
) -> None:
    """Restore a backup to an empty database and the CV store.

    Stop every service and worker first. Checks all files before it restores any, and restores CVs to INTAKE_CV_STORE.
    New ids start INTAKE_FAILOVER_GAP above those of the backup, because mails contain ids that it does not have.
    """
    if verify:
        typer.echo(f"intake: {_contents(verify_backup(directory, _progress))} are intact", err=True)
        return
    restored = restore(_settings(), directory, _progress)
    typer.echo(f"intake: {_contents(restored)} are restored, as of {restored.created_at}", err=True)
    if restored.damaged:
        typer.echo(f"intake: CVs that the backup lacks: {listed(restored.damaged)}", err=True)
    if restored.erased:
        typer.echo(
            f"intake: leads that were erased during the backup: {len(restored.erased)}; erase them again", err=True
        )


@app.command()
def purge(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the leads that are due, and erase nothing.")
    ] = False,
) -> None:
    """Erase leads past their retention period.

    INTAKE_RETENTION_DAYS sets the periods. The maintenance worker also erases these leads, daily. On SQLite, this
    command also removes deleted data from the database files, including files too large for the worker. The exit code
    is 1 if leads or deleted data remain.
    """
    settings = _settings()
    if not settings.retention_days and (dry_run or settings.sqlite_file is None):
        raise SettingsInvalid(["INTAKE_RETENTION_DAYS is not set: no lead is due"])
    with _database(settings) as database:
        if dry_run:
            for state, count in erasure.preview_retention(database, settings.retention_days).items():
                typer.echo(f"intake: {state}: leads due: {count}", err=True)
            return
        counts, left = erasure.purge_all(database, settings.retention_days)
        for state, count in counts.items():
            typer.echo(f"intake: {state}: leads erased: {count}", err=True)
        is_purged = settings.sqlite_file is None or erasure.purge_deleted_data(database, max_bytes=None)
        if settings.sqlite_file is not None:
            result = "removed" if is_purged else "not all removed yet; run this again"
            typer.echo(f"intake: remains of erased leads in the database files: {result}", err=True)
        if left:
            typer.echo(f"intake: {left}; run this again", err=True)
        if left or not is_purged:
            raise typer.Exit(1)


@app.command()
def check() -> None:
    """Print insecure settings and their remedies, and what prevents the service from starting.

    The exit code is 1 if there are any.
    """
    settings = _settings(serving=True)
    form = load_definition(settings.form)
    pages = FormPages(settings, form, honeypot="")
    MessageBuilder(settings)
    if settings.cv_text:
        typer.echo(f"intake: active parts of the sandbox for the text of CVs: {sandbox.describe()}", err=True)
    typer.echo(f"intake: {serving.describe(settings, form)}", err=True)
    is_secure = True
    for finding in _findings(settings, form, pages):
        is_secure = False
        typer.echo(finding)
    if not is_secure:
        raise typer.Exit(1)
    typer.echo("intake: no insecure settings found", err=True)


def _findings(settings: Settings, form: FormDefinition, pages: FormPages) -> Iterator[str]:
    """Yield a line for each risk, those of the database last, because it may be missing."""
    yield from run_checks(settings, Path.cwd())
    yield from serving.run_checks(settings, form)
    for name in pages.unused_templates:
        yield f"{name} in the templates of INTAKE_FORM has no effect: nothing includes it: correct its name"
    with _database(settings) as database:
        if not accounts.any_user(database):
            yield "there are no users: create the first administrator with: intake create-user NAME"
        yield from database.read(server_checks.run_checks)


@app.command()
def create_user(
    username: Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 letters, digits, '.', '_', '-' or '@'.")],
    password_stdin: PasswordStdin = False,
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="admin or attorney; default: admin for the first, attorney for all others."),
    ] = None,
) -> None:
    """Create a user."""
    settings = _settings()
    with _database(settings) as database:
        given = accounts.create_user(
            database,
            username=username,
            password=_new_password(password_stdin),
            role=role,
            min_characters=settings.min_password_characters,
        )
    typer.echo(f"intake: created user {username} with role {given}", err=True)


@app.command()
def set_password(username: Username, password_stdin: PasswordStdin = False) -> None:
    """Set a user's password, and end all logins of this user."""
    settings = _settings()
    with _database(settings) as database:
        accounts.update_user(
            database,
            username=username,
            password=_new_password(password_stdin),
            min_characters=settings.min_password_characters,
        )
    typer.echo(f"intake: set the password of {username}", err=True)


@app.command()
def allow_login(
    username: Username,
    for_: Annotated[str, typer.Option("--for", metavar="DURATION", help="Such as 30m or 1h; at most 1d.")] = "1h",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="ADDRESS", help="The user's IP address, if others guess this name.")
    ] = None,
) -> None:
    """Give a user's logins priority for a while.

    They are exempt from the delays after wrong passwords. At most six attempts per minute have priority; without
    --from, at most three of them from one address. Replicas without INTAKE_LIMITS_STORE count separately.
    """
    try:
        seconds = duration_s(least=1, most=86_400)(for_)
    except ValueError:
        raise typer.BadParameter(f"--for is {for_!r}; expected a duration such as 30m or 1h, at most 1d") from None
    client = None
    if from_ is not None:
        if (address := parse_address(from_)) is None:
            raise typer.BadParameter(f"--from is {from_!r}; expected an IP address such as 198.51.100.7")
        client = Client(address).key
    with _database(_settings()) as database:
        authentication.allow(database, username=username, for_s=seconds, client=client)
    where = f" from {client}" if client else ""
    typer.echo(f"intake: logins of {username}{where} have priority for {for_}", err=True)


def main() -> None:
    """Run the command; print an error as one line, without a traceback."""
    os.umask(0o077)  # files and directories have personal data
    try:
        app(prog_name="intake")
    except DatabaseUnavailable as error:
        _fail(f"the database is unavailable: {error.reason}")
    except IntakeError as error:
        _fail(*str(error).splitlines())
    except UnicodeError:
        _fail("the input is not UTF-8")


def _fail(*lines: str) -> NoReturn:
    """End the process with an error, as records of a JSON log or as text."""
    lines = tuple(filter(None, lines))
    if logs.is_json():
        for line in lines:
            log.critical("%s", line)
        sys.exit(1)
    sys.exit("\n".join(f"intake: {line}" for line in lines))


def _settings(*, serving: bool = False, is_logging: bool = False, **flags: str | None) -> Settings:
    """Return the settings; INTAKE_LOG applies to services and workers only, as other commands print for people."""
    given = {name: value for name, value in flags.items() if value is not None}
    environment = {**read_environment(os.environ, Path.cwd()), **given}
    logs.configure(environment.get("INTAKE_LOG", "") if is_logging else logs.TEXT)
    for name in unknown_names(environment):
        log.warning("%s is set, but it is not a setting of this service", name)
    return Settings.from_environment(environment, serving=serving)


@contextmanager
def _database(settings: Settings, *, connections: int = 1) -> Iterator[Database]:
    with closing(Database(settings, connections=connections)) as database:
        if error := schema_error(database):
            raise DatabaseNotMigrated(error)
        yield database


def _log_hints(settings: Settings, *, has_users: bool) -> None:
    if settings.smtp_server is None:
        log.info("INTAKE_SMTP_URL is not set: mails are written to %s", settings.beside_database(".maildir"))
    if not has_users:
        log.info("there are no users; create the first administrator with: intake create-user NAME")


def _log_form(settings: Settings) -> None:
    log.info("%s", serving.describe(settings, load_definition(settings.form)))
    if settings.port:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        log.info("open http://%s:%d/ in a browser to see it", host, settings.port)


@contextmanager
def _progress(label: str, length: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _contents(backup: Manifest) -> str:
    cvs = backup.cvs - len(backup.erased) - len(backup.damaged)
    return f"{backup.leads} leads{f' and {cvs} CVs of the store' if backup.cvs else ''}"


def _new_password(from_stdin: bool) -> str:
    if from_stdin and sys.stdin is not None:
        return sys.stdin.readline().rstrip("\r\n")
    if sys.stdin is None or not sys.stdin.isatty():
        raise typer.BadParameter("no terminal to read the password from: use --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise typer.BadParameter("the passwords differ")
    return password
