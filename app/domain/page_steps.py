"""What a person does in a browser in a `page` check, and the window it is done in."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


def _is_empty(value: object) -> bool:
    """So that a check that uses none of the fields is written, and has the digest, as before they came."""
    return not value


class Viewport(BaseModel):
    """The inside of the window, in CSS pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=200, le=2560)
    height: int = Field(default=800, ge=200, le=2560)


class PageStep(BaseModel):
    """One thing a person does on a page: with what `selector` finds, or with what carries the visible text,
    label or placeholder `named`. `text` is what `fill` enters (of a `select` the option's text), or the
    content of the file `filename` of an `upload`. `open` goes to the `path`; `see` waits until the page shows
    `text` or holds what `selector` finds. A dialog that a step opens is accepted, a prompt with `text`,
    unless `dialog` is `dismiss`; with `dialog` or `says`, a part of its text, there must be one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["fill", "click", "open", "see", "upload"]
    selector: str = Field(default="", max_length=300)
    named: str = Field(default="", max_length=300)
    text: str = Field(default="", max_length=2000)
    path: str = Field(default="", max_length=2000, pattern=r"^(/.*)?$", exclude_if=_is_empty)
    filename: str = Field(default="", max_length=100, pattern=r"^[^/\x00]*$", exclude_if=_is_empty)
    dialog: Literal["", "accept", "dismiss"] = Field(default="", exclude_if=_is_empty)
    says: str = Field(default="", max_length=300, exclude_if=_is_empty)

    @model_validator(mode="after")
    def _aimed(self) -> "PageStep":
        if self.action == "open":
            if not self.path or self.selector or self.named:
                raise ValueError("`open` has a path, and neither a selector nor named")
        elif self.action == "see":
            if self.named or not (self.selector or self.text):
                raise ValueError("`see` has a text or a selector, and no named")
        elif bool(self.selector) == bool(self.named):
            raise ValueError("a step has either a selector or named")
        if self.path and self.action != "open":
            raise ValueError(f"`{self.action}` has no path")
        if bool(self.filename) != (self.action == "upload") or self.filename in (".", ".."):
            raise ValueError("`upload`, and nothing else, has a filename")
        if (self.dialog or self.says) and self.action not in ("click", "fill"):
            raise ValueError(f"`{self.action}` opens no dialog")
        return self
