"""Resolve the profile from flags, environment and current profile."""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import chain, count

from leadctl.configuration.credentials import Credentials, Profile
from leadctl.errors import UsageError
from leadctl.settings import DEFAULT_URL, Settings, server_url

DEFAULT_NAME = "default"


def resolve_profile(settings: Settings, credentials: Credentials) -> Profile:
    """Return the profile to use; a URL other than the current profile's has no token. Raises UsageError."""
    if settings.url and settings.token:  # works even if the stored profiles can't be read
        return Profile(settings.url)
    url, name = _requested(settings)
    profile = credentials.profile(name) if name else credentials.current
    if name and profile is None:
        raise UsageError(f"there is no profile {name}; create it with: leadctl login --profile {name}")
    if name and profile and url not in (None, profile.url):
        raise UsageError(f"profile {name} is for {profile.url}, but {settings.url_source} is {url}")
    if profile is None or url not in (None, profile.url):
        return Profile(url or DEFAULT_URL)
    return _validated(profile)


def resolve_login_profile(settings: Settings, credentials: Credentials, ask_url: Callable[[], str]) -> Profile:
    """Return the profile to log in to, which may be new; ask for the URL if none is known. Raises UsageError."""
    current = credentials.current
    url, requested = _requested(settings)
    name = requested or DEFAULT_NAME
    is_for_current = requested is None and current and url in (None, current.url)
    if current and is_for_current and not current.password_command:  # a person's login must not replace a job's
        return _validated(current)
    profile = credentials.profile(name)
    if profile and url in (None, profile.url):
        return _validated(profile)
    # a new profile: with a flag for its name only, its server may come from the environment
    url = url or settings.url or (_validated(current).url if current else ask_url())
    if profile and requested is None:  # at another server
        profiles = credentials.profiles
        same = (one for one in profiles if one.url == url and (one.name or "").startswith(DEFAULT_NAME))
        return next(same, Profile(url, name=_default_name(url, taken=[one.name or "" for one in profiles])))
    return Profile(url, name=name)


def _requested(settings: Settings) -> tuple[str | None, str | None]:
    """Return the URL and the profile name to use; a flag for either overrides both environment variables."""
    url_by_flag, name_by_flag = settings.url_source == "--url", settings.profile_source == "--profile"
    if url_by_flag or name_by_flag:
        return settings.url if url_by_flag else None, settings.profile if name_by_flag else None
    return settings.url, settings.profile


def _validated(profile: Profile) -> Profile:
    return replace(profile, url=server_url(profile.url, "the stored profile's URL"))


def _default_name(url: str, *, taken: Collection[str]) -> str:
    """Return a free name for a login without one: `default`, or `default-HOST`."""
    authority = url.partition("://")[2].partition("/")[0]
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", re.sub(r":\d+$", "", authority)).strip("-")[:48]
    names = chain(("default", f"default-{host}"), (f"default-{host}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)
