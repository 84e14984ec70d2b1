"""What an email, a name and a password may be."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from app.domain.values import ClientText

PASSWORD_CHARS = (8, 128)
"""The least and the most characters of a password."""

_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text.strip()):
        raise ValueError("must be an email address")
    return text.strip()


class NewAccount(BaseModel):
    """Emails are compared without regard to case, and stored as they were given."""

    model_config = ConfigDict(frozen=True)

    email: Annotated[ClientText, Field(max_length=254), AfterValidator(_email)]
    password: Annotated[ClientText, Field(min_length=PASSWORD_CHARS[0], max_length=PASSWORD_CHARS[1])]
    name: Annotated[ClientText, Field(max_length=200), AfterValidator(str.strip)] = ""

    @field_validator("password")
    @classmethod
    def _is_not_the_email(cls, password: str, info: ValidationInfo) -> str:
        if password.casefold() == str(info.data.get("email", "")).casefold():
            raise ValueError("must not be the email")
        return password
