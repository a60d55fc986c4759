"""The context of a command: streams, profile and API."""

import os
import re
import sys
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
from leadctl.settings import DEFAULT_URL, Flags, Settings, server_url

if TYPE_CHECKING:  # importing it takes 95 ms, which `--version` and `--help` need not pay
    from leadctl.api import Api
    from leadctl.configuration.session import Session


def format_time_left(seconds: int | None, output_format: OutputFormat) -> str | int | None:
    """Return the seconds as minutes in a table, unchanged in other formats."""
    if output_format is not OutputFormat.TABLE or seconds is None:
        return seconds
    return f"{seconds // 60 or '< 1'} min" if seconds else "expired"


class Context(IOStreams):
    """One run of the program."""

    def __init__(self, flags: Flags) -> None:
        super().__init__(flags)
        if not os.environ.get("XDG_CONFIG_HOME"):  # the standard says that empty means unset; get_app_dir disagrees
            os.environ.pop("XDG_CONFIG_HOME", None)
        if not re.fullmatch("[2-9][0-9]|[1-9][0-9]{2,3}", os.environ.get("COLUMNS", "80")):
            del os.environ["COLUMNS"]  # rich prints nothing if it is 0
        self.credentials = Credentials(Path(typer.get_app_dir("leadctl")))

    @property
    def url(self) -> str:
        """The server's URL. Raises UsageError."""
        return self.profile.url

    @cached_property
    def profile(self) -> Profile:
        """The profile to use, from flags, environment or current profile. Raises UsageError."""
        return resolve_profile(self.settings, self.credentials)

    def select_server(self, *, url: str | None, profile: str | None) -> Profile:
        """Select the server and the profile to log in to; the arguments override --url and --profile.

        Raises UsageError.
        """
        self.flags = replace(self.flags, url=url or self.flags.url, profile=profile or self.flags.profile)
        self.profile = resolve_login_profile(self.settings, self.credentials, self._ask_url)
        return self.profile

    def _ask_url(self) -> str:
        """Return the server's URL that is typed on a terminal. Raises UsageError."""
        if not sys.stdin.isatty():
            return DEFAULT_URL
        return server_url(self.ask("Server", "--url", default=DEFAULT_URL), "the server")

    @cached_property
    def anonymous_api(self) -> "Api":
        return self._api(None)

    @cached_property
    def api(self) -> "Api":
        """The API with the given or stored token. Raises PermissionDenied if there is none."""
        self.session.token()
        return self._api(self.session)

    @cached_property
    def api_with_optional_login(self) -> "Api":
        """The API, with a token if there is one."""
        has_login = self.settings.token or self.profile.token or self.profile.password_command
        return self.api if has_login else self.anonymous_api

    def api_without_renewal(self) -> "Api":
        """Return the API with the token at hand; runs no password command and renews nothing.

        Raises PermissionDenied if there is no token.
        """
        token = self.settings.token or self.profile.token
        if token is None:
            raise PermissionDenied("not logged in")
        return self._api(self._session(Profile(self.url, token=token)))

    @cached_property
    def session(self) -> "Session":
        """The login of the profile, renewed in time, or the token in LEADCTL_TOKEN."""
        token = self.settings.token
        return self._session(Profile(self.url, token=token) if token else self.profile)

    def _session(self, profile: Profile) -> "Session":
        """Return a session; the token of a profile without a name is neither renewed nor saved."""
        from leadctl.configuration.session import Session  # noqa: PLC0415

        return Session(profile, self.credentials, lambda: self.anonymous_api)

    @cached_property
    def settings(self) -> Settings:
        """The settings of flags and environment. Raises UsageError."""
        return Settings.from_environment(os.environ, self.flags)

    def _api(self, session: "Session | None") -> "Api":
        from leadctl.api import Api  # noqa: PLC0415
        from leadctl.connections import connect  # noqa: PLC0415
        from leadctl.http import Http  # noqa: PLC0415

        client = connect(
            self.url,
            auth=session,
            cacert=self.settings.cacert,
            insecure_http=self.settings.insecure_http,
            log=self.error if self.flags.debug else None,
        )
        return Api(Http(self.url, client, info=self.info))
