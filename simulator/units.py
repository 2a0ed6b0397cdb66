"""Unit conversions and words, used only at the edges; inside, everything is in s, bytes, tokens and USD."""

SECONDS_PER_MINUTE = 60.0
MINUTES_PER_HOUR = 60
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86400.0
SECONDS_PER_WEEK = 7 * SECONDS_PER_DAY
HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12
HOURS_PER_MONTH = 730.0
"""Mean hours of a month (8760 / 12), the convention of cloud price lists."""
HOURS_PER_YEAR = 8760.0
TOKENS_PER_MILLION = 1e6
REQUESTS_PER_MILLION = 1e6
KG_PER_TONNE = 1000.0
BYTES_PER_MIB = 2.0**20
BYTES_PER_GIB = 2.0**30
JOULES_PER_KWH = 3.6e6


def rough(value: float) -> str:
    """A number in three digits, from 100 on whole, as `0.125`, `12.5` and `1,234`."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def month_words(months: float) -> str:
    """A length in months, as `1 month` and `2.5 months`."""
    return f"{months:g} month{'' if months == 1 else 's'}"


def span_words(seconds: float) -> str:
    """A length of time in the largest of hours, minutes and seconds that it has one of, as `36 h`, `20 min`, `8 s`."""
    for unit, unit_s in (("h", SECONDS_PER_HOUR), ("min", SECONDS_PER_MINUTE)):
        if seconds >= unit_s:
            value = seconds / unit_s
            return f"{value:.4g} {unit}" if value < 9_999.5 else f"{value:,.0f} {unit}"
    return f"{seconds:.4g} s"


def rough_span_words(seconds: float) -> str:
    """A length of time as people estimate it: `118 s`, minutes up to two hours, hours up to two days, `3.5 days`."""
    if seconds < 2 * SECONDS_PER_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * SECONDS_PER_HOUR:
        return f"{seconds / SECONDS_PER_MINUTE:.0f} min"
    hours = seconds / SECONDS_PER_HOUR
    return f"{rough(hours)} h" if hours < 2 * HOURS_PER_DAY else f"{rough(hours / HOURS_PER_DAY)} days"
