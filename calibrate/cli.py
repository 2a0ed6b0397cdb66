"""`servecast calibrate`: measure a real engine, fit its step times, and check the simulator against it."""

from __future__ import annotations

from cyclopts import App

app = App(name="calibrate", help="Measure a real engine, fit its step times, check the simulator against it.")
COMMANDS: tuple[str, ...] = (
    "drafts",
    "fit",
    "import_kernels",
    "job",
    "live",
    "merge",
    "profile",
    "record_schedule",
    "serving",
    "validate",
)
for _name in COMMANDS:
    app.command(f"calibrate.commands.{_name}:{_name}", name=_name.replace("_", "-"))
