"""Signals as a terminal gives them to processes; a shell gives others to what it runs in the background."""

import signal


def restore() -> None:
    """Make SIGINT interrupt again and SIGQUIT end, for this process and for those that it starts.

    A shell without job control ignores both for a command in the background, and children inherit that: a
    test that interrupts what it started would wait for ever.
    https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_11
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
