"""Request and response models of users and their logins."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from intake.request_models import RequestModel
from intake.settings.parsers import MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARACTERS
from intake.users.accounts import MAX_USERNAME_CHARACTERS, ROLES, USERNAME_PATTERN, Role
from intake.users.passwords import MAX_TYPED_CHARACTERS
from intake.users.tokens import TOKEN_TTL_S

NewPassword = Annotated[
    str,
    Field(
        description=f"{MIN_PASSWORD_CHARACTERS} characters (or INTAKE_MIN_PASSWORD_LENGTH)"
        f" to {MAX_PASSWORD_BYTES} bytes in UTF-8.",
        json_schema_extra={"minLength": MIN_PASSWORD_CHARACTERS, "maxLength": MAX_TYPED_CHARACTERS},
    ),
]


class Credentials(RequestModel):
    """Username and password."""

    username: str = Field(
        json_schema_extra={"minLength": 1, "maxLength": MAX_USERNAME_CHARACTERS, "pattern": USERNAME_PATTERN}
    )
    password: str


class Registration(Credentials):
    """A user to create."""

    password: NewPassword
    role: str | None = Field(
        None,
        description="Only administrators may set it; attorney if absent.",
        json_schema_extra={"enum": [*ROLES, None]},
    )


class Token(BaseModel):
    """A bearer token, valid for `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - not a secret
    expires_in: int = TOKEN_TTL_S


class UserModel(BaseModel):
    """A user."""

    id: int
    username: str
    role: Role
    created_at: datetime


class PasswordChange(RequestModel):
    """The current and the new password."""

    old: str
    new: NewPassword


class UserChange(RequestModel):
    """Changes to a user; absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    role: Role | None = Field(default=None, description="Applies from the next request; tokens stay valid.")
    disabled: StrictBool | None = Field(default=None, description="Refuse logins; true revokes all tokens.")
    password: NewPassword | None = Field(default=None, description="A new password; revokes all tokens.")
