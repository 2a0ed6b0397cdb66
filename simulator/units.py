"""Unit conversions and words, used only at the edges; inside, everything is in s, bytes, tokens and USD."""

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86400.0
SECONDS_PER_WEEK = 7 * SECONDS_PER_DAY
HOURS_PER_DAY = 24
HOURS_PER_MONTH = 730.0
"""Mean hours of a month (8760 / 12), the convention of cloud price lists."""
HOURS_PER_YEAR = 8760.0
TOKENS_PER_MILLION = 1e6
BYTES_PER_GIB = 2.0**30
JOULES_PER_KWH = 3.6e6


def month_words(months: float) -> str:
    """A length in months, as `1 month` and `2.5 months`."""
    return f"{months:g} month{'' if months == 1 else 's'}"
