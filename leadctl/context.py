"""What every command is given: the streams, and the server."""

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from leadctl.configuration.credentials import Credentials, Profile
from leadctl.configuration.profile_resolution import resolve_login_profile, resolve_profile
from leadctl.errors import PermissionDenied
from leadctl.output.console import IOStreams
from leadctl.output.formats import OutputFormat
from leadctl.settings import Flags, Settings

if TYPE_CHECKING:  # it takes 95 ms to import, which `--version` and `--help` need not pay
    from leadctl.api import Api
    from leadctl.configuration.session import Session
    from leadctl.connections import Bearer


def time_left(seconds: int | None, face: OutputFormat) -> str | int | None:
    """Return the seconds as a person reads them, or for programs as they are."""
    if face is not OutputFormat.TABLE or seconds is None:
        return seconds
    return f"{seconds // 60} min" if seconds else "ended"


class Context(IOStreams):
    """One run of the program."""

    def __init__(self, flags: Flags) -> None:
        super().__init__(flags)
        if not os.environ.get("XDG_CONFIG_HOME"):  # empty means unset, which is not how it would be read below
            os.environ.pop("XDG_CONFIG_HOME", None)
        self.credentials = Credentials(Path(typer.get_app_dir("leadctl")))

    @property
    def url(self) -> str:
        """The server's address. Raises Usage."""
        return self.profile.url

    @cached_property
    def profile(self) -> Profile:
        """Whom and which server this run is for; what is kept of it. Raises Usage.

        A flag counts more than the environment, and either more than the current profile.
        """
        return resolve_profile(self._settings, self.credentials)

    def turn_to(self, *, url: str | None, profile: str | None) -> Profile:
        """Turn to a server and a profile to log in, given as --url and --profile would be; the profile may be new.

        Raises Usage.
        """
        self.flags = replace(self.flags, url=url or self.flags.url, profile=profile or self.flags.profile)
        self.profile = resolve_login_profile(self._settings, self.credentials)
        return self.profile

    @cached_property
    def stranger(self) -> "Api":
        """The server, shown no token."""
        return self._api(None)

    @cached_property
    def api(self) -> "Api":
        """The server, shown the token that was given or is kept. Raises PermissionDenied where there is none."""
        bearer = self._bearer
        bearer.token()
        return self._api(bearer)

    @cached_property
    def api_for_anyone(self) -> "Api":
        """The server, shown a token if there is one."""
        may_show = self._settings.token or self.profile.token or self.profile.password_command
        return self.api if may_show else self.stranger

    def api_at_hand(self) -> "Api":
        """Return the server, shown a token that is there already: no program is run for one, and none is renewed.

        Raises PermissionDenied where there is none.
        """
        from leadctl.configuration.session import GivenToken  # noqa: PLC0415

        token = self._settings.token or self.profile.token
        if token is None:
            raise PermissionDenied("not logged in")
        return self._api(GivenToken(token))

    @cached_property
    def session(self) -> "Session":
        """The profile in use, its token renewed in time."""
        from leadctl.configuration.session import Session  # noqa: PLC0415

        return Session(self.profile, self.credentials, lambda: self.stranger)

    @property
    def names_profile(self) -> bool:
        """Whether a flag or the environment names a profile. Raises Usage."""
        return self._settings.profile is not None

    @property
    def names_profile_by_flag(self) -> bool:
        """Whether a flag names a profile. Raises Usage."""
        return self._settings.profile is not None and self._settings.profile_source == "--profile"

    @property
    def has_given_token(self) -> bool:
        """Whether LEADCTL_TOKEN counts, and nothing is kept."""
        return self._settings.token is not None

    @cached_property
    def _settings(self) -> Settings:
        return Settings.from_environment(os.environ, self.flags)

    @property
    def _bearer(self) -> "Bearer":
        from leadctl.configuration.session import GivenToken  # noqa: PLC0415

        return GivenToken(self._settings.token) if self._settings.token else self.session

    def _api(self, bearer: "Bearer | None") -> "Api":
        from leadctl.api import Api  # noqa: PLC0415
        from leadctl.http import Http  # noqa: PLC0415

        given = self._settings
        http = Http(
            self.url,
            bearer=bearer,
            cacert=given.cacert,
            insecure_http=given.insecure_http,
            say=self.say,
            listener=self._tell_of_request if self.flags.is_debug else None,
        )
        return Api(http)

    def _tell_of_request(self, line: str) -> None:
        self.complain(f"leadctl: {line}")
