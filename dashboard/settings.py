"""What the command line hands to the application, through environment variables: Streamlit runs it as a script."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

_VARIABLE = "SERVECAST_DASHBOARD"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server.

    Attributes
    ----------
    runs : bundles, and folders that hold bundles, which every user of the server sees
    out : folder for the bundles of runs that users start
    live : folder that `servecast calibrate live` writes, None for none
    sign_in : whether nothing is shown to who has not signed in
    """

    runs: tuple[str, ...] = ("runs",)
    out: str = "runs"
    live: str | None = None
    sign_in: bool = False

    @property
    def places(self) -> tuple[str, ...]:
        """Where bundles lie that users see: those that were there, and those that they make."""
        return (*self.runs, self.out)

    def to_environment(self) -> dict[str, str]:
        """The variable that `settings` reads."""
        return {_VARIABLE: json.dumps(asdict(self))}


def settings() -> Settings:
    """Settings of this server; the defaults when it was started without the command."""
    text = os.environ.get(_VARIABLE)
    if text is None:
        return Settings()
    data = json.loads(text)
    return Settings(tuple(data["runs"]), data["out"], data.get("live"), data.get("sign_in", False))
