"""`python -m host.keep_alive COMMAND…`: runs a command and starts it again whenever it ends by itself.

Airflow's scheduler gives up on errors that a new one does not meet. A command that ends while it boots is not started
again: then something is wrong that a person should see.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

BOOT_S = 20.0
LONGEST_PAUSE_S = 30.0


def keep_alive(command: Sequence[str], boot_s: float = BOOT_S) -> int:
    """Run until SIGTERM or SIGINT, which the command gets too, as a member of the group; the last exit code."""
    told: list[int] = []

    def tell(number: int, frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    pause_s, born = 1.0, time.monotonic()
    while True:
        started = time.monotonic()
        code = subprocess.Popen(command).wait()
        if told or time.monotonic() - born < boot_s:
            return code
        pause_s = 1.0 if time.monotonic() - started > 60 else min(2 * pause_s, LONGEST_PAUSE_S)
        print(f"ended with {code}; started again in {pause_s:.0f} s: {' '.join(command)}", flush=True)
        time.sleep(pause_s)
        if told:
            return code


if __name__ == "__main__":
    sys.exit(keep_alive(sys.argv[1:]))
