"""Templates of the service, and those of an organization that replace them."""

import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from intake.errors import TemplateInvalid
from intake.settings.trusted_files import ownership_fault

# what a template can raise while it is compiled and rendered
RENDERING_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def describe_error(name: str, error: Exception) -> str:
    """Return the file and the line of an error in the template of this name or in one that it uses, and a remedy."""
    # Jinja's tracebacks name the templates' files and lines
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".jinja")]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (name, None)
    if isinstance(error, TemplateSyntaxError):
        file, line = error.filename or file, error.lineno
    place = f"{file}, line {line}" if line else file
    detail = f"there is no template {error}" if isinstance(error, TemplateNotFound) else str(error).rstrip(".")
    return f"the template {place} can't be rendered: {detail}; correct it, or start with a copy of the service's own"


class TrustedTemplates(FileSystemLoader):
    """An organization's templates; each file must be writable by its owner only."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        try:
            source, filename, is_current = super().get_source(environment, template)
        except UnicodeDecodeError as error:
            raise TemplateInvalid(f"the template {template} is not UTF-8; save the file as UTF-8") from error
        if fault := ownership_fault(Path(filename)):
            raise TemplateInvalid(f"the template {fault}")
        return source, filename, is_current


@cache  # compiling them is the slowest part of the start
def templates(
    package: str,
    *,
    folder: str = ".",
    directory: Path | None = None,
    autoescape: bool | Callable[[str | None], bool] = True,
    is_strict: bool = True,
) -> ImmutableSandboxedEnvironment:
    """Return the templates in a folder of a package. Files in the `directory` replace those of the same name.

    An undefined name raises an error if `is_strict`, and is empty otherwise.
    """
    custom = [TrustedTemplates(directory)] if directory else []
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([*custom, PackageLoader(package, folder)]),
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        undefined=StrictUndefined if is_strict else Undefined,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # in the order of the fields
    return environment
