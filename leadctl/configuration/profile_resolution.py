"""Which profile a command is for: a flag counts more than the environment, and either more than the current profile."""

from dataclasses import replace

from leadctl.configuration.credentials import Credentials, Profile
from leadctl.errors import UsageError
from leadctl.settings import DEFAULT_URL, Settings, server_url


def resolve_profile(given: Settings, credentials: Credentials) -> Profile:
    """Return the profile that is meant: a token of it is for no other server than its own. Raises Usage."""
    return _checked(_named(given, credentials) or _unnamed(given, credentials))


def resolve_login_profile(given: Settings, credentials: Credentials) -> Profile:
    """Return the profile that is meant, or is to be made, with nothing of another server's. Raises Usage."""
    if given.profile is None:
        chosen = resolve_profile(given, credentials)
        # a person's login must not replace a job's
        return _checked(credentials.at(chosen.url)) if chosen.password_command else chosen
    kept = credentials.profile(given.profile)
    if kept is None or (given.url_source == "--url" and given.url != kept.url):
        return Profile(given.url or _checked(_unnamed(given, credentials)).url, name=given.profile)
    return _checked(kept)


def _named(given: Settings, credentials: Credentials) -> Profile | None:
    """Return the profile whose name was given; None where none was, or a flag outweighs it."""
    if given.profile is None:
        return None
    name, kept = given.profile, credentials.profile(given.profile)
    by_flag, url_by_flag = given.profile_source == "--profile", given.url_source == "--url"
    if url_by_flag and not by_flag and (kept is None or kept.url != given.url):
        return None
    if kept is None:
        raise UsageError(f"there is no profile {name}; make it with: leadctl login --profile {name}")
    if given.url in (None, kept.url) or (by_flag and not url_by_flag):
        return kept
    raise UsageError(f"profile {name} is for {kept.url}, and {given.url_source} names another: {given.url}")


def _unnamed(given: Settings, credentials: Credentials) -> Profile:
    """Return the current profile, or where it is for another server what is kept for the address that was given."""
    if given.url and given.token:  # nothing that is kept counts, not even whether it can be read
        return Profile(given.url)
    current = credentials.current
    return current if current and given.url in (None, current.url) else credentials.at(given.url or DEFAULT_URL)


def _checked(profile: Profile) -> Profile:
    return replace(profile, url=server_url(profile.url, "the kept login's URL"))
