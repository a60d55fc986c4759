"""Request and response models of users and their logins."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from intake.request_models import RequestModel
from intake.users.accounts import ROLES, Role
from intake.users.tokens import TOKEN_TTL_S


class Credentials(RequestModel):
    """A name and a password."""

    username: str = Field(json_schema_extra={"minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$"})
    password: str = Field(description="8 characters to 72 bytes in UTF-8.")


class Registration(Credentials):
    """A user to make."""

    role: str | None = Field(
        None,
        description="Only an administrator may give it; attorney if absent.",
        json_schema_extra={"enum": [*ROLES, None]},
    )


class Token(BaseModel):
    """A token, good for `expires_in` seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a kind of token, no token
    expires_in: int = TOKEN_TTL_S


class UserModel(BaseModel):
    """A user."""

    id: int
    username: str
    role: Role
    created_at: datetime


class PasswordChange(RequestModel):
    """One's own password, and the one that is to be."""

    old: str
    new: str = Field(description="8 characters to 72 bytes in UTF-8.")


class UserChange(RequestModel):
    """What is to be of a user; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    role: Role | None = Field(default=None, description="The next request's already; tokens stay good.")
    disabled: StrictBool | None = Field(default=None, description="Whether logins are refused; true ends every token.")
    password: str | None = Field(default=None, description="8 characters to 72 bytes in UTF-8; ends every token.")
