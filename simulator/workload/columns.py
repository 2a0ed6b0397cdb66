"""Columns of a table by other names: of parts of objects, and those that are likely meant."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DEEP = 3
"""Names of objects within objects that are looked through."""
_LOOKED_AT = 1_000
"""Rows whose objects are looked through: parts that are optional stand in few of them."""
LIKELY: Mapping[str, tuple[str, ...]] = {
    "arrival_s": (
        *("arrivals", "arrivaltime", "arrivedat", "arrivaltimestamp", "starttime", "startedat", "starttimestamp"),
        *("starttimeunixnano", "requesttime", "requesttimestamp", "receivedat", "timestamp", "createdat", "created"),
        *("ts", "time", "datetime", "timegenerated", "timegeneratedutc", "loggingtime", "createtime"),
        *("requeststartns", "startns"),
    ),
    "input_tokens": (
        *("inputtokens", "prompttokens", "contexttokens", "requesttokens", "inputlength", "promptlength"),
        *("inputlen", "promptlen", "numinputtokens", "numprompttokens", "inputtokencount", "prompttokencount"),
        *("usageinput", "usagedetailsinput", "tokensin", "in", "tokencountprompt", "inputsequencelengthvalue"),
        *("nativetokensprompt", "tokensprompt", "requnits"),
    ),
    "output_tokens": (
        *("outputtokens", "completiontokens", "generatedtokens", "responsetokens", "generationtokens"),
        *("outputlength", "completionlength", "outputlen", "numoutputtokens", "numcompletiontokens"),
        *("numgeneratedtokens", "outputtokencount", "completiontokencount", "candidatestokencount"),
        *("usageoutput", "usagedetailsoutput", "tokensout", "out", "tokencountcompletion"),
        *("outputsequencelengthvalue", "nativetokenscompletion", "tokenscompletion", "resunits"),
    ),
}
"""What logs call the columns that every trace has, likeliest first, in small letters and figures alone."""
MORE_LIKELY: Mapping[str, tuple[str, ...]] = {
    "session_id": ("sessionid", "conversationid", "chatid", "threadid", "dialogueid", "session", "conversation"),
    "cached_tokens": (
        *("cachedtokens", "cachedinputtokens", "cachedprompttokens", "numcachedtokens", "inputcachedtokens"),
        *("prompttokenscached", "inputtokenscached", "promptcachehittokens", "cachehittokens", "usagecachedtokens"),
        *("prompttokensdetailscachedtokens", "inputtokensdetailscachedtokens", "cachereadinputtokens"),
        *("cachereadinputtokencount", "cachedcontenttokencount", "nativetokenscached"),
    ),
}
"""What logs call the columns that a trace may have."""
_BESIDE = (
    *("cachereadinputtokens", "cachecreationinputtokens", "cachewriteinputtokens"),
    *("cachereadinputtokencount", "cachewriteinputtokencount"),
)
_LESS_THOSE = ("inputtokens", "inputtokencount")
"""Columns of prompt tokens that are no part of one beside them, if it is called so, as in answers of Anthropic's API
and in Bedrock's; `prompt_tokens` count them, as in OpenAI's and in those of gateways that answer alike, and so do
`gen_ai.usage.input_tokens` of OpenTelemetry, beside `gen_ai.usage.cache_read.input_tokens`."""
_OF_A_CACHE = ("cacheread", "cachecreation", "cachewrite")
"""Objects whose tokens are a part of others."""
_THOUGHTS, _LESS_THOUGHTS = "thoughtstokencount", "candidatestokencount"
"""Gemini's: tokens of an answer that are no part of the other column."""
_DAYS = ("date", "day", "requestdate", "startdate")
"""What logs call the column of the day where the time of day has one of its own."""
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?(\s*[AaPp]\.?[Mm]\.?)?")
_JOINS = "+"
_MISSING = object()


def has_column(frame: pd.DataFrame, name: str) -> bool:
    """Whether a table has a column, one of objects that have such a part, or all of `date+time`."""
    if name in frame.columns:
        return True
    if _JOINS in name:
        first, *others = (part.strip() for part in name.split(_JOINS))
        return has_column(frame, first) and all(has_column(frame, part) or _is_empty(frame, part) for part in others)
    if _whole(frame, name) is None:
        return False
    return any(column(some, name).notna().any() for some in (frame.iloc[:_LOOKED_AT], frame))


def _is_empty(frame: pd.DataFrame, name: str) -> bool:
    """Whether objects have a part that is null in all of them."""
    whole = _whole(frame, name)
    parts = name.removeprefix(f"{whole}.")
    return whole is not None and any(_part(value, parts, _MISSING) is None for value in frame[whole])


def column(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column, a part of its objects (`usage.prompt_tokens`), None where a row has none, or two as one text."""
    if name in frame.columns:
        return frame[name]
    if _JOINS in name:
        day, time = (column(frame, part.strip()).astype(str) for part in name.split(_JOINS, 1))
        return day.str.strip() + " " + time.str.strip()
    whole = _whole(frame, name)
    assert whole is not None
    parts = name.removeprefix(f"{whole}.")
    return frame[whole].map(lambda value: _part(value, parts))


def total(frame: pd.DataFrame, name: str) -> pd.Series:
    """A column of numbers, or the sum of `a+b+c`, in which nothing adds nothing but for the first."""
    if name in frame.columns or _JOINS not in name:
        return column(frame, name)
    first, *others = (column(frame, part.strip()) for part in name.split(_JOINS))
    found = first.map(_number)
    for values in others:
        blank = values.isna() | (values.astype(str).str.strip() == "")
        found = found + values.map(_number).where(~blank, 0.0)
    return found


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _whole(frame: pd.DataFrame, name: str) -> str | None:
    """The column that a name is a part of."""
    places = (place.start() for place in re.finditer(r"\.", name))
    return next((name[:place] for place in places if name[:place] in frame.columns), None)


def _part(value: Any, name: str, missing: Any = None) -> Any:
    """A part of an object, which may be written as JSON; names may hold points themselves."""
    value = _object(value)
    if value is None:
        return missing
    if name in value:
        return value[name]
    places = (place.start() for place in re.finditer(r"\.", name))
    inner = (_part(value[name[:place]], name[place + 1 :], missing) for place in places if name[:place] in value)
    return next(inner, missing)


def guessed(frame: pd.DataFrame) -> dict[str, str]:
    """For each column that every trace has, what a table likely calls it; without those that nothing looks like."""
    names = [name for name in leaves(frame) if not {*_plain(name.rpartition(".")[0])} & {*_OF_A_CACHE}]
    found = _found(names, LIKELY)
    answer = found.get("output_tokens", "")
    if plain(answer) == _LESS_THOUGHTS:
        thoughts = _in_its_place([name for name in names if plain(name) == _THOUGHTS], answer)
        found["output_tokens"] = _JOINS.join([answer, *thoughts])
    if arrival := found.get("arrival_s"):
        found["arrival_s"] = _with_its_day(frame, arrival)
    return found


def guessed_more(frame: pd.DataFrame, said: Mapping[str, str]) -> dict[str, str]:
    """What a table likely calls the columns that a trace may have, but for those that are said, or called so."""
    taken = {*said.values()}
    names = [name for name in leaves(frame) if name not in taken]
    wanted = {ours: likely for ours, likely in MORE_LIKELY.items() if ours not in said and ours not in frame.columns}
    return _found(names, wanted)


def beside(frame: pd.DataFrame, prompt: str) -> list[str]:
    """Columns of prompt tokens that those of the prompt, in a column of that name, likely do not count; a sum does."""
    if _JOINS in prompt or plain(prompt) not in _LESS_THOSE:
        return []
    return _in_its_place([name for name in leaves(frame) if plain(name) in _BESIDE], prompt)


def _in_its_place(names: list[str], other: str) -> list[str]:
    """Those in the object of another column, if any are there: an object may say again what one beside it says."""
    place = other.rpartition(".")[0]
    return [name for name in names if name.rpartition(".")[0] == place] or names


def all_of_prompt(frame: pd.DataFrame, found: Mapping[str, str], said: Mapping[str, str]) -> dict[str, str]:
    """Columns that were found, of which the prompt's counts those beside it, unless it was said which one it is."""
    prompt = found.get("input_tokens", "input_tokens")
    apart = beside(frame, prompt)
    if "input_tokens" not in said:
        return {**found, "input_tokens": _JOINS.join([prompt, *apart])} if apart else dict(found)
    return {ours: theirs for ours, theirs in found.items() if ours in said or theirs not in apart}


def _found(names: Sequence[str], wanted: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The likeliest of the names for each column that is wanted."""
    found = {}
    for ours, likely in wanted.items():
        ranks = [(likely.index(plain), theirs) for theirs in names for plain in _plain(theirs) if plain in likely]
        if ranks:
            found[ours] = min(ranks, key=lambda each: each[0])[1]
    return found


def _with_its_day(frame: pd.DataFrame, name: str) -> str:
    """A column of times; where they are of the day, together with that of the days, if there is one."""
    values = column(frame, name).dropna()
    day = next((str(each) for each in frame.columns if plain(str(each)) in _DAYS), None)
    is_of_day = len(values) > 0 and _TIME_OF_DAY.fullmatch(str(values.iloc[0]).strip())
    return f"{day}{_JOINS}{name}" if day and is_of_day else name


def leaves(frame: pd.DataFrame) -> Iterator[str]:
    """Of all columns, and of the parts of the objects in the first rows."""
    for name in frame.columns:
        objects = [each for each in map(_object, frame[name].iloc[:_LOOKED_AT]) if each is not None]
        if objects:
            yield from dict.fromkeys(part for each in objects for part in _parts(str(name), each, DEEP))
        else:
            yield str(name)


def _object(value: Any) -> Mapping[str, Any] | None:
    """An object, written as JSON or not."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _parts(prefix: str, value: Mapping[str, Any], deep: int) -> Iterator[str]:
    for name, part in value.items():
        if deep > 1 and (inner := _object(part)) is not None:
            yield from _parts(f"{prefix}.{name}", inner, deep - 1)
        else:
            yield f"{prefix}.{name}"


def plain(name: str) -> str:
    """The last part of a name, in small letters and figures alone."""
    return _plain(name)[0]


def _plain(name: str) -> tuple[str, ...]:
    """A name as `LIKELY` has them: its last part, and that with the one before."""
    parts = [re.sub(r"[^a-z0-9]", "", part.lower()) for part in name.split(".")]
    return tuple("".join(parts[start:]) for start in (len(parts) - 1, max(len(parts) - 2, 0)))
