"""A watch-dog on progress: a process that hangs, in a read or in a collective, ends itself so that it is started again.

It counts its own ticks and not the clock, so a process that was stopped (Ctrl-Z, a closed laptop) and goes on is well.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable

STALLED = 75
"""The exit status: EX_TEMPFAIL, "try again" in sysexits.h."""


class Stall:
    """Ends the process with `STALLED` where `beat` was not called for `seconds`, after `tell` and the stacks on stderr.

    A context: nothing is watched outside it.
    """

    def __init__(self, seconds: float, tell: Callable[[str], None]) -> None:
        self._seconds, self._tell = seconds, tell
        self._tick = min(1.0, seconds / 10)
        self._quiet = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def beat(self) -> None:
        """There was progress."""
        self._quiet = 0.0

    def __enter__(self) -> "Stall":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(self._tick):
            self._quiet += self._tick
            if self._quiet >= self._seconds:
                self._tell(f"no progress for {self._seconds:.0f} s; this process ends, the same command goes on")
                faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
                os._exit(STALLED)
