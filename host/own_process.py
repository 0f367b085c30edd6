"""This process itself: what it inherits from the shell, and how it is told to end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from recflow.config.settings import Settings

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def forget_settings() -> None:
    """Take recflow's settings out of the environment, so that nothing here reaches into a real installation."""
    settings = {f"recflow_{field}" for field in Settings.model_fields}
    for name in [name for name in os.environ if name.lower() in settings]:
        del os.environ[name]


def end_like_ctrl_c() -> None:
    """From here on SIGTERM and a closed terminal raise KeyboardInterrupt; what is ignored, as under nohup, stays so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Do something whole: a signal to end that comes meanwhile is raised again afterwards. For the main thread."""
    heard: list[int] = []
    taken = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda seen, _: heard.append(seen)) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for seen in heard:
            signal.raise_signal(seen)


def end_undisturbed() -> None:
    """Ignore further signals to end: what was started is being ended, and must be to the last process."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
