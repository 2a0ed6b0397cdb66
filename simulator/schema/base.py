"""Base of every model of the scenario file, and number types that refuse NaN, infinity, text and truth values."""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Settings(BaseModel):
    """Frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


LARGEST = 1e15
SMALLEST = 1e-12
NOT_A_NUMBER = "must be a number"


def _number(value: Any) -> Any:
    """Refuse what pydantic would turn into a number without a word, text and truth values, and what nothing measures.

    Between these bounds no product of a few numbers leaves the range of a float. A zero has no sign: "-0.0 - 0.0" is
    below zero to what asks for its sign.
    """
    if isinstance(value, bool | str):
        raise ValueError(NOT_A_NUMBER)
    if isinstance(value, int | float) and abs(value) > LARGEST and value not in (math.inf, -math.inf):
        raise ValueError(f"must be at most {LARGEST:g} in size")
    if isinstance(value, float) and 0 < abs(value) < SMALLEST:
        raise ValueError(f"must be 0, or at least {SMALLEST:g} in size")
    return 0.0 if isinstance(value, float) and value == 0 else value


IS_NUMBER = BeforeValidator(_number)
Number = Annotated[float, IS_NUMBER]
Whole32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), IS_NUMBER]
"""Of either sign, as arrays hold it."""
Switch = Annotated[bool, Field(strict=True)]
Positive = Annotated[float, Field(gt=0), IS_NUMBER]
NotNegative = Annotated[float, Field(ge=0), IS_NUMBER]
Share = Annotated[float, Field(ge=0, le=1), IS_NUMBER]
ByHour = Annotated[tuple[NotNegative, ...], Field(min_length=24, max_length=24)]
Count = Annotated[int, Field(ge=0), IS_NUMBER]
AtLeastOne = Annotated[int, Field(ge=1), IS_NUMBER]


def _plain_name(value: str) -> str:
    if value.startswith(".") or value == "__proto__":
        raise ValueError("must not begin with a dot, nor be a word of the browser's own")
    return value


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$"), AfterValidator(_plain_name)]


def pattern_of(annotation: Any) -> str:
    """Pattern that text of an annotated type has to match."""
    (pattern,) = (
        item.pattern
        for field in annotation.__metadata__
        for item in getattr(field, "metadata", ())
        if hasattr(item, "pattern")
    )
    return str(pattern)


def _day(value: Any) -> Any:
    """YAML reads days as dates."""
    return value.isoformat() if type(value) is date else value


Day = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"), BeforeValidator(_day)]
Auto = Literal["auto"]
"""Left open: the size search finds it."""
DataClass = Literal["public", "internal", "confidential", "restricted"]
