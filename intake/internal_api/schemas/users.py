"""Request and response models of users and their logins."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from intake.request_models import RequestModel
from intake.users.accounts import ROLES, Role
from intake.users.tokens import TOKEN_TTL_S


class Credentials(RequestModel):
    """Username and password."""

    username: str = Field(json_schema_extra={"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$"})
    password: str = Field(description="8 characters to 72 bytes in UTF-8.")


class Registration(Credentials):
    """A user to create."""

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
    new: str = Field(description="8 characters to 72 bytes in UTF-8.")


class UserChange(RequestModel):
    """Changes to a user; absent fields stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    role: Role | None = Field(default=None, description="Applies from the next request; tokens stay valid.")
    disabled: StrictBool | None = Field(default=None, description="Refuse logins; true revokes all tokens.")
    password: str | None = Field(default=None, description="8 characters to 72 bytes in UTF-8; revokes all tokens.")
