"""`servecast explain`: what a key of a scenario means."""

from __future__ import annotations

from typing import Literal


def explain(key: str | None = None, /, *, format: Literal["table", "json", "md"] = "table") -> int:
    """Say what a key of a scenario means: what may stand there, and what holds unless it is given.

    For example:

        servecast explain engine.max_num_seqs
        servecast explain growth_per_year
        servecast explain tp
        servecast explain sessions

    Parameters
    ----------
    key
        A key by its path, or by the end of it, by a part of its name, or as other programs call it, or a kind of
        section; the sections unless given.
    format
        Table for people, json for programs, md for the page of all keys.
    """
    from simulator.cli.output import print_json, print_table
    from simulator.errors import InputError
    from simulator.scenario.keys import find_keys, keys_page, keys_that_tell, near_keys, scenario_keys

    keys, near = scenario_keys(), ""
    try:
        found = find_keys(key, keys) if key else keys
    except InputError as error:
        telling = keys_that_tell(key or "", keys)
        found = telling or near_keys(key or "", keys)
        if not found:
            raise
        near = f"no key of a scenario is called {key!r}; it is spoken of in\n\n" if telling else f"{error}\n\n"
    if format == "json":
        print_json([{**vars(each), "vllm": each.vllm} for each in found])
    elif format == "md":
        print(keys_page(found), end="")
    elif key is None:
        print_table([[each.path, each.text] for each in keys if "." not in each.path], ["key", "meaning"])
        print("\nservecast explain KEY says more of one; docs/keys.md has them all")
    else:
        print(near + "\n\n".join(each.in_words() for each in found))
    return 0
