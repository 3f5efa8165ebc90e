"""Signals as a terminal gives them to processes; a shell gives others to what it runs in the background."""

import signal


def restore() -> None:
    """Make SIGINT interrupt again, and SIGQUIT and SIGHUP end, for this process and for those that it starts.

    A shell without job control ignores the first two for a command in the background, nohup the third, and
    children inherit that: a test that interrupts what it started would wait for ever.
    https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_11
    """
    defaults = {signal.SIGINT: signal.default_int_handler}
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, defaults.get(number, signal.SIG_DFL))
