"""This process itself: what it inherits from the shell, and how it is told to end."""

import os
import signal

from recflow.config.settings import Settings


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


def end_undisturbed() -> None:
    """Ignore further signals to end: what was started is being ended, and must be to the last process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
