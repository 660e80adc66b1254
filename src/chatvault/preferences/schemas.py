"""Request and response schemas of preferences."""

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from chatvault.fields import FreeObject, check_free


class Theme(StrEnum):
    """Light, dark, or as the system has it."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class PreferencesIn(BaseModel):
    """Preferences to set; further keys are kept as they are."""

    model_config = ConfigDict(extra="allow")

    theme: Theme | None = None
    language: str | None = Field(None, pattern=r"^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*$")
    autoSave: bool | None = None  # noqa: N815  # the frontend's name
    showTimestamps: bool | None = None  # noqa: N815  # the frontend's name
    agent_settings: FreeObject | None = None
    display_settings: FreeObject | None = None

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        # Checked in Python: in JSON an infinite number would become null.
        check_free(self.model_dump())
        return self


class PreferencesOut(BaseModel):
    """All preferences: the set value or the default of each, and the further keys."""

    model_config = ConfigDict(extra="allow")

    theme: Theme = Theme.SYSTEM
    language: str = "en"
    autoSave: bool = True  # noqa: N815  # the frontend's name
    showTimestamps: bool = True  # noqa: N815  # the frontend's name
    agent_settings: dict[str, Any] = Field(default_factory=dict)
    display_settings: dict[str, Any] = Field(default_factory=dict)
