"""Give each channel its messages, all channels at once: a slow or dead one holds up no other."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, SimpleQueue

from runtime_lib.monitoring.alerts.message import Message, Undelivered
from runtime_lib.settings.channel import Channel
from runtime_lib.settings.channels import variable

__all__ = ["Result", "deliver"]

_MODULES = {
    "webhook": "webhook",
    "slack": "slack",
    "pagerduty": "pagerduty",
    "email": "mail",
    "alertmanager": "alertmanager",
}


@dataclass(frozen=True)
class Result:
    """A message and whether it arrived: `cause` says why not; None: it did."""

    channel: str
    message: Message
    cause: str | None = None


def deliver(
    channels: Mapping[str, Channel],
    messages: Mapping[str, Sequence[Message]],
    done: Callable[[Result], None],
) -> None:
    """Send every message, those of one channel in their order.

    Returns when all are through, at the latest after the longest `deadline` of the channels. A message that
    is under way then counts as not delivered, and may arrive all the same.

    Args:
        messages: by the channel's name.
        done: is called in this thread with each result, as it comes.
    """
    results: SimpleQueue[Result] = SimpleQueue()
    started = time.monotonic()
    open_: dict[str, list[Message]] = {name: list(each) for name, each in messages.items() if each}
    for name in open_:
        until = started + channels[name].deadline
        # A daemon: one that hangs must not keep the process from ending.
        work = (name, channels[name], tuple(open_[name]), until, results.put)
        threading.Thread(target=_channel, args=work, daemon=True, name=f"alerts to {name}").start()
    while open_:
        ends = {name: started + channels[name].deadline + 0.5 for name in open_}
        try:
            result = results.get(timeout=max(0.0, min(ends.values()) - time.monotonic()))
        except Empty:
            late = min(ends, key=ends.__getitem__)
            cause = f"no answer within {channels[late].deadline:g} s"
            for message in open_.pop(late):
                done(Result(late, message, cause))
            continue
        if result.channel in open_:  # else too late: it is kept for the next run
            open_[result.channel].remove(result.message)
            if not open_[result.channel]:
                del open_[result.channel]
            done(result)


def _channel(
    name: str, channel: Channel, messages: Sequence[Message], until: float, put: Callable[[Result], None]
) -> None:
    down = None
    for message in messages:
        if down is None:
            cause, down = _try(name, channel, message, until)
        else:
            cause = down
        put(Result(name, message, cause))


def _try(name: str, channel: Channel, message: Message, until: float) -> tuple[str | None, str | None]:
    """Why a message did not arrive, or None; and why those after it need not be tried, or None."""
    if channel.missing:
        cause = f"set the variable {variable(name, channel.missing[0])}"
        return cause, cause
    send = import_module(f"runtime_lib.monitoring.alerts.{_MODULES[channel.kind]}").send
    for number in range(1, channel.tries + 1):
        left = until - time.monotonic()
        if left <= 0:
            return (late := f"no answer within {channel.deadline:g} s"), late
        try:
            send(channel, message, min(channel.timeout, left))
        except Undelivered as refused:
            asked = "" if refused.after is None else f", asks to wait {refused.after:.0f} s"
            cause = f"{refused.cause}{asked}, try {number}"
            wait = _pause(channel, number) if refused.after is None else refused.after
            if refused.final or number == channel.tries or wait >= until - time.monotonic():
                return cause, cause if refused.down else None
            time.sleep(wait)
        except Exception as error:  # our mistake must not lose the alert; its words may hold anything
            return f"{type(error).__name__}, try {number}", None
        else:
            return None, None
    raise AssertionError("a channel has at least one try")


def _pause(channel: Channel, number: int) -> float:
    """Seconds before the next try: doubled each time, and spread so that many senders do not come at once."""
    return float(channel.pause * 2 ** (number - 1) * random.uniform(0.5, 1.5))
