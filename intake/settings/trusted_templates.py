"""Templates of an organization, which replace those of the service."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from intake.errors import TemplateInvalid
from intake.settings.trusted_files import ownership_fault


class TrustedTemplates(FileSystemLoader):
    """An organization's templates; each file must be writable by its owner only."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, filename, is_current = super().get_source(environment, template)
        if fault := ownership_fault(Path(filename)):
            raise TemplateInvalid(f"the template {fault}")
        return source, filename, is_current
