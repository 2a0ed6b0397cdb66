"""Install the peers, each in a virtual environment of its own: `python bench/peers/install.py`.

A peer that does not install leaves the end of pip's message in its environment, and `compare.py` prints it.
"""

from __future__ import annotations

import subprocess
import sys

from peers import PEERS, ROOT, Peer

ERROR_CHARACTERS = 400


def install(peer: Peer) -> str:
    """Install one peer; returns pip's error, or nothing."""
    subprocess.run([sys.executable, "-m", "venv", str(ROOT / peer.environment)], check=True)
    peer.error_file.unlink(missing_ok=True)
    for packages in peer.installs:
        command = [str(peer.python), "-m", "pip", "install", "--quiet", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            error = " ".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))
            peer.error_file.write_text((error or done.stderr)[-ERROR_CHARACTERS:])
            return peer.error_file.read_text()
    return _checked_out(peer)


def _checked_out(peer: Peer) -> str:
    """A repository at its commit, built, where it is not there already; returns the error, or nothing."""
    place = peer.checkout
    if place is None or place.folder.exists():
        return ""
    folder = str(place.folder)
    commands = [["git", "clone", "--quiet", place.repository, folder]]
    commands += [["git", "-C", folder, "checkout", "--quiet", place.commit]]
    commands += [list(place.build)] if place.build else []
    for command in commands:
        done = subprocess.run(
            command, cwd=folder if command[0] != "git" else None, capture_output=True, text=True, check=False
        )
        if done.returncode:
            peer.error_file.write_text(done.stderr[-ERROR_CHARACTERS:])
            return peer.error_file.read_text()
    return ""


def main() -> None:
    for environment in dict.fromkeys(peer.environment for peer in PEERS):
        peer = next(peer for peer in PEERS if peer.environment == environment)
        print(f"{peer.name}: {install(peer) or 'installed'}", flush=True)


if __name__ == "__main__":
    main()
