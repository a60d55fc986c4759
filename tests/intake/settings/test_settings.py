"""Settings from an environment."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from intake.errors import SettingsInvalid
from intake.settings import Settings, read_environment, unknown_names
from intake.settings.parsers import Mailbox, SmtpServer

GOOD_SECRET = "s" * 32


def read(directory: Path, **environ: str) -> Settings:
    return Settings.from_environment(read_environment(environ, directory))


def test_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.database_url == "sqlite:///intake.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.max_cv_bytes == 10_485_760
    assert settings.states == ("PENDING", "REACHED_OUT", "ENGAGED", "DECLINED")
    assert settings.smtp_server is None
    assert not settings.open_registration


@pytest.mark.parametrize("url", ["file:///srv/CVs of ours", "s3://bucket.of-ours", "s3://bucket/a/b_c"])
def test_a_trailing_slash_of_the_store_url_is_removed(tmp_path: Path, url: str) -> None:
    assert read(tmp_path, INTAKE_CV_STORE=url).cv_store == read(tmp_path, INTAKE_CV_STORE=f"{url}/").cv_store == url


def test_the_environment_overrides_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("INTAKE_PORT=9000\nINTAKE_HOST=0.0.0.0\n")
    settings = read(tmp_path, INTAKE_PORT="9001")
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INTAKE_DATABASE_URL", "mysql://host/db"),
        ("INTAKE_DATABASE_URL", "sqlite://"),
        ("INTAKE_DATABASE_URL", "sqlite:///"),
        ("INTAKE_DATABASE_URL", "sqlite:///:memory:"),
        ("INTAKE_DATABASE_URL", "sqlite:///x.db?mode=ro"),
        ("INTAKE_DATABASE_URL", "postgresql://u:p@host:port/db"),
        ("INTAKE_DATABASE_URL", "postgresql://u:p@[bad/db"),
        ("INTAKE_HOST", "a host"),
        ("INTAKE_CV_STORE", "/var/cvs"),
        ("INTAKE_CV_STORE", "file://cvs"),
        ("INTAKE_CV_STORE", "file:///"),
        ("INTAKE_CV_STORE", "file:///a%2fb"),
        ("INTAKE_CV_STORE", "s3://"),
        ("INTAKE_CV_STORE", "s3://UPPER"),
        ("INTAKE_CV_STORE", "s3://key:secret@bucket"),
        ("INTAKE_CV_STORE", "https://host/bucket"),
        ("INTAKE_ALERT_INTERVAL", "1 minute"),
        ("INTAKE_MAIL_RETENTION", "90"),
        ("INTAKE_PORT", "eighty"),
        ("INTAKE_RATE_LIMIT", "60"),
        ("INTAKE_RATE_LIMIT", "0/minute"),
        ("INTAKE_RATE_LIMIT", "60/minute;"),
        ("INTAKE_RATE_LIMIT_EXEMPT", "10.0.0.1/8"),
        ("INTAKE_TRUSTED_PROXIES", "localhost"),
        ("INTAKE_LIMITS_STORE", "memcached://host"),
        ("INTAKE_MAX_UPLOADS", "0"),
        ("INTAKE_HEADER_TIMEOUT", "0"),
        ("INTAKE_ALLOWED_HOSTS", "https://intake.example"),
        ("INTAKE_CORS_ORIGINS", "*"),
        ("INTAKE_CORS_ORIGINS", "https://a.example/path"),
        ("INTAKE_FORM_FRAME_ANCESTORS", "*"),
        ("INTAKE_FORM_FRAME_ANCESTORS", "'self'"),
        ("INTAKE_FORM_FRAME_ANCESTORS", "https://a.example; script-src *"),
        ("INTAKE_FORM_THANKS_URL", "javascript:alert(1)"),
        ("INTAKE_FORM_THANKS_URL", "//other.example"),
        ("INTAKE_CLAMD", "/run/clamd.ctl"),
        ("INTAKE_CV_EXTENSIONS", "../x"),
        ("INTAKE_MIN_PASSWORD_LENGTH", "7"),
        ("INTAKE_RETENTION_DAYS", "DECLINED"),
        ("INTAKE_RETENTION_DAYS", "DECLINED=0"),
        ("INTAKE_RETENTION_DAYS", "DECLINED=1,DECLINED=2"),
        ("INTAKE_PORT", "65536"),
        ("INTAKE_PORT", "٣"),
        ("INTAKE_JWT_SECRET", "too short"),
        ("INTAKE_JWT_SECRET", f"{GOOD_SECRET},short"),
        ("INTAKE_JWT_SECRET", ",".join([GOOD_SECRET] * 3)),
        ("INTAKE_SMTP_URL", "mail.example"),
        ("INTAKE_SMTP_URL", "smtp://"),
        ("INTAKE_SMTP_URL", "smtp://host:port"),
        ("INTAKE_SMTP_URL", "smtp://host?starttls=maybe"),
        ("INTAKE_SMTP_URL", "smtp://host?tls=off"),
        ("INTAKE_SMTP_URL", "smtp://host/path"),
        ("INTAKE_MAIL_FROM", "nobody"),
        ("INTAKE_MAIL_FROM", "a..b@firm.example"),
        ("INTAKE_MAIL_FROM", "=?utf-8?q?=0D=0ABcc:?= <a@firm.example>"),
        ("INTAKE_MAIL_FROM", "=?utf-8?q?=0D=0A?=@firm.example"),
        ("INTAKE_ATTORNEY_EMAILS", "=?utf-8?q?=0D=0A?=@firm.example"),
        ("INTAKE_ATTORNEY_EMAILS", '"ada"@firm.example'),
        ("INTAKE_FIRM_URL", "www.firm.example"),
        ("INTAKE_FIRM_URL", "javascript:alert(1)"),
        ("INTAKE_FIRM_URL", "https://"),
        ("INTAKE_FIRM_URL", "https://firm.example:port"),
        ("INTAKE_FIRM_URL", "https://user:password@firm.example"),
        ("INTAKE_FIRM_URL", "https://firm.example/ a"),
        ("INTAKE_FIRM_CONTACT", " "),
        ("INTAKE_FIRM_CONTACT", "020\nBcc: a@b"),
        ("INTAKE_FIRM_CONTACT", "020\u202e"),
        ("INTAKE_FIRM_CONTACT", "x" * 201),
        ("INTAKE_FIRM_CONTACT", "tel:call us"),
        ("INTAKE_FIRM_CONTACT", "mailto:office@firm.example?subject=CV"),
        ("INTAKE_ALERT_REPLY_TO", "no"),
        ("INTAKE_ATTORNEY_EMAILS", "a..b@firm.example"),
        ("INTAKE_MAIL_FROM", "a@b\nBcc: c@d"),
        ("INTAKE_ATTORNEY_EMAILS", "ada@firm.example, peter"),
        ("INTAKE_MAIL_TEMPLATES", "/no/such/directory"),
        ("INTAKE_FORM", "/no/such/file.toml"),
        ("INTAKE_FORM", "/"),
        ("INTAKE_CONFIRMATION_INTERVAL", "a day"),
        ("INTAKE_CONFIRMATION_INTERVAL", "10"),
        ("INTAKE_CONFIRMATIONS_PER_HOUR", "-1"),
        ("INTAKE_CONFIRMATIONS_PER_HOUR", "100001"),
        ("INTAKE_MAX_CV_BYTES", "0"),
        ("INTAKE_MAX_CV_BYTES", "10 MB"),
        ("INTAKE_MAX_CV_BYTES", "901 MiB"),
        ("INTAKE_STATES", "NEW,NEW"),
        ("INTAKE_STATES", "new"),
        ("INTAKE_STATES", ","),
        ("INTAKE_STATE_KEYS", "ENGAGED"),
        ("INTAKE_STATE_KEYS", "ENGAGED:"),
        ("INTAKE_STATE_KEYS", "ENGAGED:xy"),
        ("INTAKE_STATE_KEYS", "ENGAGED:s"),
        ("INTAKE_STATE_KEYS", "ENGAGED:?"),
        ("INTAKE_STATE_KEYS", "ENGAGED:д"),
        ("INTAKE_STATE_KEYS", "ENGAGED:x,ENGAGED:y"),
        ("INTAKE_STATE_KEYS", "ENGAGED:x,DECLINED:X"),
        ("INTAKE_OPEN_REGISTRATION", "yes"),
    ],
)
def test_an_invalid_value_is_one_line_with_the_setting(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read(tmp_path, **{name: value})
    assert str(raised.value).startswith(f"{name} is ")
    assert "; expected " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", ["thanks.html", "../thanks", "www.firm.example/thanks", "//firm.example/thanks"])
def test_an_unclear_thanks_url_is_refused_with_what_is_allowed(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"; expected a URL with http:// or https://, or a path from /$"):
        read(tmp_path, INTAKE_FORM_THANKS_URL=value)


@pytest.mark.parametrize("value", ["https://firm.example/thanks", "http://firm.example", "/thanks"])
def test_a_thanks_url_is_a_whole_url_or_a_path(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, INTAKE_FORM_THANKS_URL=value).form_thanks_url == value


def test_all_invalid_settings_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read(tmp_path, INTAKE_PORT="x", INTAKE_STATES="x", INTAKE_HOST="127.0.0.1")
    assert len(str(raised.value).splitlines()) == 2


def test_keys_of_unknown_states_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read(tmp_path, INTAKE_STATES="NEW,DONE", INTAKE_STATE_KEYS="LOST:x")
    assert str(raised.value) == "INTAKE_STATE_KEYS names LOST, which is not one of the states: NEW, DONE"


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        read(tmp_path, INTAKE_JWT_SECRET="hush", INTAKE_SMTP_URL="x://me:hush@host", INTAKE_DATABASE_URL="x:hush")
    assert "hush" not in str(raised.value)
    settings = read(tmp_path, INTAKE_JWT_SECRET=GOOD_SECRET, INTAKE_SMTP_URL="smtp://me:hush@host")
    assert "hush" not in repr(settings)
    assert GOOD_SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://relay.example", SmtpServer("relay.example", 587, None, None, "required")),
        ("smtp://localhost:1025", SmtpServer("localhost", 1025, None, None, "opportunistic")),
        ("smtp://relay?starttls=off", SmtpServer("relay", 587, None, None, "off")),
        ("smtps://me%40firm:p%2Fw@relay", SmtpServer("relay", 465, "me@firm", "p/w", "implicit")),
    ],
)
def test_smtp_urls(tmp_path: Path, url: str, server: SmtpServer) -> None:
    assert read(tmp_path, INTAKE_SMTP_URL=url).smtp_server == server


def test_lists_sizes_and_mailboxes(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        INTAKE_ATTORNEY_EMAILS=" ada@firm.example , Peter <peter@firm.example>,",
        INTAKE_MAX_CV_BYTES="2 MiB",
        INTAKE_CONFIRMATION_INTERVAL="10m",
        INTAKE_CONFIRMATIONS_PER_HOUR="0",
        INTAKE_MAIL_FROM="Marple & Wimsey <intake@firm.example>",
        INTAKE_STATES="NEW, DONE",
        INTAKE_STATE_KEYS="DONE:X, NEW: 1",
        INTAKE_JWT_SECRET=f"{GOOD_SECRET},{GOOD_SECRET}",
    )
    assert settings.attorney_emails == ("ada@firm.example", "peter@firm.example")
    assert settings.max_cv_bytes == 2_097_152
    assert settings.confirmation_interval_s == 600
    assert settings.confirmations_per_hour == 0
    assert settings.mail_from == Mailbox("intake@firm.example", "Marple & Wimsey")
    assert settings.states == ("NEW", "DONE")
    assert settings.state_keys == (("DONE", "x"), ("NEW", "1"))
    assert len(settings.jwt_secrets) == 2


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_postgresql_urls_use_psycopg2(tmp_path: Path, scheme: str) -> None:
    settings = read(tmp_path, INTAKE_DATABASE_URL=f"{scheme}://u:p@host/db?sslmode=require")
    assert settings.database_url == "postgresql+psycopg2://u:p@host/db?sslmode=require"
    assert settings.sqlite_file is None


def test_serving_on_postgresql_requires_a_secret() -> None:
    environ = {"INTAKE_DATABASE_URL": "postgresql://host/db", "INTAKE_PORT": "x"}
    with pytest.raises(SettingsInvalid) as raised:
        Settings.from_environment(environ, serving=True)
    assert [line.split()[0] for line in str(raised.value).splitlines()] == ["INTAKE_PORT", "INTAKE_JWT_SECRET"]
    del environ["INTAKE_PORT"]
    assert Settings.from_environment(environ).jwt_secrets == ()


@pytest.mark.parametrize(
    "line",
    [
        'INTAKE_DATABASE_URL="postgresql://host/db',
        "INTAKE_DATABASE_URL='postgresql://host/db",
        'INTAKE_DATABASE_URL="postgresql://host/db" x',
        'INTAKE_DATABASE_URL="postgresql://host/db\n"',
        'OTHER="1\nINTAKE_DATABASE_URL=postgresql://host/db\nMORE=2"',
        "INTAKE_DATABASE_URL: postgresql://host/db",
        "INTAKE_DATABASE_URL",
        "set INTAKE_DATABASE_URL=postgresql://host/db",
        '$env:INTAKE_DATABASE_URL="postgresql://host/db"',
        "intake_database_url=postgresql://host/db",
    ],
)
def test_lines_of_the_env_file_that_set_nothing_are_errors(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"# a comment\n\nINTAKE_PORT=9000\n\n{line}\nINTAKE_HOST=0.0.0.0\n")
    with pytest.raises(SettingsInvalid) as raised:
        read_environment({}, tmp_path)
    assert str(raised.value).splitlines() == [".env, line 5: expected INTAKE_NAME=value on one line"]


def test_the_env_file_can_have_quotation_marks_comments_and_settings_of_others(tmp_path: Path) -> None:
    lines = [
        "export INTAKE_PORT='9000' # here",
        'INTAKE_HOST = "0.0.0.0"',
        "OTHER=1",
        "INTAKE_FIRM_CONTACT='a ${HOME}'",
    ]
    (tmp_path / ".env").write_text("\n".join(lines))
    expected = {"INTAKE_PORT": "9000", "INTAKE_HOST": "0.0.0.0", "OTHER": "1", "INTAKE_FIRM_CONTACT": "a ${HOME}"}
    assert read_environment({}, tmp_path) == expected


def test_an_env_file_that_is_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    with pytest.raises(SettingsInvalid, match=r"\.env is not a file"):
        read_environment({}, tmp_path)


def test_an_unreadable_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"INTAKE_HOST=\xff")
    with pytest.raises(SettingsInvalid, match=r"\.env can't be read"):
        read(tmp_path)


def test_unknown_settings_are_found() -> None:
    assert unknown_names({"INTAKE_PROT": "1", "INTAKE_PORT": "1", "HOME": "/"}) == ["INTAKE_PROT"]


@pytest.mark.parametrize("name", ["INTAKE_CORS_ORIGINS", "INTAKE_FORM_FRAME_ANCESTORS"])
@pytest.mark.parametrize("separator", [",", " ", ", ", "  "])
def test_origins_are_separated_by_commas_or_spaces(name: str, separator: str) -> None:
    text = separator.join(["https://WWW.firm.example/", "http://[::1]:8080"])
    settings = Settings.from_environment({name: text})
    assert ("https://www.firm.example", "http://[::1]:8080") in (settings.cors_origins, settings.form_frame_ancestors)


@pytest.mark.parametrize("name", [item.metadata["name"] for item in fields(Settings)])
@pytest.mark.parametrize("value", ["sqlite:///a\nb.db", "x\x07", "\x1b[31m"])
def test_a_control_character_is_one_line_that_names_the_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        Settings.from_environment({name: value})
    message = str(raised.value)
    assert message.startswith(f"{name} is ")
    assert message.isprintable()


def test_processes_share_the_limits(tmp_path: Path) -> None:
    limits = {"INTAKE_RATE_LIMIT": "60/minute;2/day", "INTAKE_MAX_UPLOADS": "8", "INTAKE_MAX_CONNECTIONS": "100"}
    one = read(tmp_path, INTAKE_PROCESSES="3", **limits).shared()
    assert [limit.amount for limit in one.rate_limits] == [20, 1]
    assert (one.max_uploads, one.max_connections, one.max_spool_bytes) == (2, 33, 2**30 // 3)
    stored = read(tmp_path, INTAKE_PROCESSES="3", INTAKE_LIMITS_STORE="redis://127.0.0.1", **limits).shared()
    assert [limit.amount for limit in stored.rate_limits] == [60, 2]


@pytest.mark.parametrize("processes", ["0", "65", "two", "-1"])
def test_a_number_of_processes_is_from_1_to_64(tmp_path: Path, processes: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"INTAKE_PROCESSES.*a number from 1 to 64"):
        read(tmp_path, INTAKE_PROCESSES=processes)


def test_ipv4_addresses_in_ipv6_are_those_of_clients() -> None:
    given = {"INTAKE_TRUSTED_PROXIES": "::ffff:127.0.0.1,::ffff:10.0.0.0/104,2001:db8::/32,::/0"}
    found = [str(network) for network in Settings.from_environment(given).trusted_proxies]
    assert found == ["127.0.0.1/32", "10.0.0.0/8", "2001:db8::/32", "::/0"]
