"""Entry point: parses the command line, runs a command, turns errors into exit codes.

0 done; 1 done, and `--check` was answered with no; 2 bad input or usage; 3 a bug of ours; 130 interrupted or
terminated.
"""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from simulator.cache_folder import ensure_cache
from simulator.cli.problems import in_words, of_system
from simulator.cli.streams import prepare, tell, written_out
from simulator.cli.variables import leave_out_unreadable
from simulator.endings import raises
from simulator.errors import ServecastError
from simulator.workload.long_reads import long_reads, so_far

app = App(
    name="servecast",
    help="Forecasts LLM serving before anyone buys a GPU: topology, capacity, latency, cost.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),
)
_COMMANDS = (
    "new",
    "run",
    "plan",
    "sweep",
    "merge",
    "compare",
    "steps",
    "traces",
    "validate",
    "explain",
    "catalog",
    "cache",
    "schema",
    "doctor",
    "memory",
    "report",
    "bench",
)
_GROUPS = ("verify", "runs", "calibrate")
"""Commands that have commands."""
_HELP = ("--help", "-h")
terminated = raises(KeyboardInterrupt)
_KEPT = {
    "run": "; finished trials are kept, and what was written of the bundle, as NAME.partial",
    "sweep": "; the same sweep goes on from what has finished",
    "plan": "; what was simulated is not simulated again",
}
"""What an interrupted command leaves."""
for _name in _COMMANDS:
    app.command(f"simulator.cli.{_name}:{_name}", name=_name)
verify = App(name="verify", help="Check bundles, and the simulator against recordings of the real engine.")
verify.command("simulator.cli.verify:bundle", name="bundle")
verify.command("simulator.cli.verify:schedule", name="schedule")
verify.command("simulator.cli.verify:versions", name="versions")
verify.command("calibrate.commands.verify_latency:latency", name="latency")
verify.command("calibrate.commands.verify_gpu:gpu", name="gpu")
app.command(verify)
runs = App(name="runs", help="List runs and sweeps, give them names and notes, remove them.")
runs.command("simulator.cli.runs:list_", name="list")
runs.command("simulator.cli.runs:rename", name="rename")
runs.command("simulator.cli.runs:note", name="note")
runs.command("simulator.cli.runs:delete", name="delete")
app.command(runs)
app.command("calibrate.cli:app", name="calibrate")
app.command("dashboard.command:dashboard", name="dashboard")


def _load_all(group: App) -> None:
    """Import every command, so that the list of commands says what each does."""
    for name in group:
        if not name.startswith("-"):
            group[name]


def main() -> None:
    """Run the command line and exit."""
    prepare()
    leave_out_unreadable()
    signal.signal(signal.SIGTERM, terminated)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, terminated)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        return written_out(run_command(arguments))
    except Exception as error:
        if "--debug" in arguments:
            raise
        tell(f"a bug of ours: {type(error).__name__}: {error}")
        return 3


def _tell_reading(file: Path, rows: int) -> None:
    """A line of a file that takes long to read."""
    size = f"{file.stat().st_size / 1e6:,.0f} MB"
    print(f"servecast: reading {file.name} ({size}): {so_far(file, rows)}", file=sys.stderr, flush=True)


def run_command(arguments: list[str]) -> int:
    """Run a command, and return the exit code of everything that is no bug of ours."""
    try:
        ensure_cache()
        asked = [each for each in arguments if each not in _HELP]
        if not asked:
            _load_all(app)
        elif len(asked) == 1 and asked[0] in _GROUPS:
            _load_all(app[asked[0]])
        with nullcontext() if "--quiet" in arguments else long_reads(_tell_reading):
            result = app(
                arguments,
                exit_on_error=False,
                print_error=True,
                result_action="return_value",
            )
    except ServecastError as error:
        heading = "" if error.exit_code == 2 else "a law of the simulation was broken; please report this: "
        tell(f"{heading}{in_words(error)}")
        return error.exit_code
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        kept = _KEPT.get(arguments[0] if arguments else "", "")
        tell(f"interrupted{kept}")
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        tell(of_system(error))
        return 2
    except MemoryError:
        tell("needs more memory than there is: make it smaller")
        return 2
    return result if isinstance(result, int) else 0
