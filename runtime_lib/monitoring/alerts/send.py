"""One run of sending: what each channel is due, sent to all at once, and written down as it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.alert import Alert, Outcome
from runtime_lib.monitoring.alerts.dead import DeadLetter, DeadLetters
from runtime_lib.monitoring.alerts.deliver import Result, deliver
from runtime_lib.monitoring.alerts.message import Message
from runtime_lib.monitoring.alerts.plan import due
from runtime_lib.monitoring.alerts.silence import silenced
from runtime_lib.monitoring.alerts.state import State, Told
from runtime_lib.monitoring.alerts.webhook import PLAIN
from runtime_lib.settings import Settings
from runtime_lib.settings.channel import Channel, place_of

__all__ = ["OLD", "channels_of", "dead_letters", "is_old", "send"]

# The name of the channel that `monitoring.webhook` is.
OLD = "webhook"


def send(settings: Settings, state: State, now: datetime) -> tuple[Outcome, ...]:
    """Send what is due, dead letters first. What does not arrive becomes one."""
    channels = channels_of(settings)
    run = _Run(state, dead_letters(settings), settings.environment, now)
    messages = {
        name: run.messages(name, channel, plain=is_old(settings, name)) for name, channel in channels.items()
    }
    deliver(channels, messages, run.record)
    run.finish()
    return tuple(
        _outcome(settings, name, channels[name], [result for result in run.results if result.channel == name])
        for name, each in messages.items()
        if each
    )


def channels_of(settings: Settings) -> dict[str, Channel]:
    """Every channel by name; `monitoring.webhook` is the first, as "webhook".

    Raises:
        SettingsError: `monitoring.webhook` is no http(s) address.
    """
    url = settings.monitoring.webhook
    if not url:
        return dict(settings.monitoring.alerts)
    try:
        place_of(url)
    except ValueError as error:
        raise SettingsError(f"monitoring.webhook {error}.") from None
    return {OLD: Channel(kind="webhook", url=url, pause=0.5), **settings.monitoring.alerts}


def dead_letters(settings: Settings) -> DeadLetters:
    return DeadLetters(settings.alerts / "dead.jsonl")


def is_old(settings: Settings, name: str) -> bool:
    """Whether a channel is `monitoring.webhook`, which gets bodies of its own."""
    return name == OLD and bool(settings.monitoring.webhook)


class _Run:
    """The state and the dead letters while messages are under way."""

    def __init__(self, state: State, letters: DeadLetters, environment: str, now: datetime) -> None:
        """
        Args:
            environment: whose alerts it sends: those of others have other channels.
        """
        self.results: list[Result] = []
        self._state, self._letters, self._environment, self._now = state, letters, environment, now
        letters.drop_old(now)
        self._hold_back()
        self._alerts = [each for each in state.alerts() if each[0].environment == environment]
        letters.drop(self._is_stale)

    def messages(self, name: str, channel: Channel, *, plain: bool) -> list[Message]:
        """What a channel is due, in the order in which it happened.

        Args:
            plain: it is the old webhook, which gets what is made for it and nothing else.
        """
        dead = [
            letter.message
            for letter in self._letters.all()
            if letter.channel == name and letter.message.alert.environment == self._environment
        ]
        new = [
            message
            for alert, hushed in self._alerts
            if (alert.kind == PLAIN) == plain
            for message in self._new(name, channel, alert, hushed, dead)
        ]
        return [*filter(None, (self._again(message) for message in dead)), *new]

    def record(self, result: Result) -> None:
        """Write down at once whether a message arrived: a kill must not make many of them come again."""
        self.results.append(result)
        name, message, alert = result.channel, result.message, result.message.alert
        if result.cause is not None:
            self._letters.add(name, message, result.cause, self._now)
        elif alert.status == "event" or self._fires(alert):
            known = self._state.told(alert).get(name)
            members = frozenset(alert.members) | (known.members if known else frozenset())
            with self._state.change():
                self._state.tell(alert, name, Told(message.number + 1, self._now, alert.severity, members))
        self._letters.drop(lambda letter: letter.channel == name and _is_over(letter.message, result))

    def finish(self) -> None:
        """Forget what is gone or has happened: every channel has it, or a dead letter does."""
        with self._state.change():
            for alert, _ in self._alerts:
                if alert.status != "firing":
                    self._state.forget(alert)

    def _hold_back(self) -> None:
        """Mark what is silenced: it is due again when its silence ends."""
        silences = self._state.silences()
        with self._state.change():
            for alert, hushed in self._state.alerts():
                quiet = silenced(alert, silences, self._now)[0]
                if quiet != hushed:
                    self._state.put(alert, silenced=quiet)
                if quiet and alert.status == "firing":
                    for name, told in self._state.told(alert).items():
                        self._state.tell(alert, name, replace(told, time=None))

    def _is_stale(self, letter: DeadLetter) -> bool:
        """It says that something fires which is gone, and nobody would take it back: its channel was away."""
        incident = letter.message.alert.incident
        known = {alert.incident for alert, _ in self._alerts}
        known |= {
            other.message.alert.incident
            for other in self._letters.all()
            if other.channel == letter.channel and other.message.alert.status == "resolved"
        }
        ours = letter.message.alert.environment == self._environment
        return ours and letter.message.alert.status == "firing" and incident not in known

    def _again(self, message: Message) -> Message | None:
        """A dead letter as it goes out now: about what still fires with what is known of it now."""
        stored = next((each for each in self._alerts if each[0].incident == message.alert.incident), None)
        newer = any(alert.key == message.alert.key and alert.kind == PLAIN for alert, _ in self._alerts)
        if newer or (stored and stored[1]):
            return None
        if stored and stored[0].status == message.alert.status:
            return replace(message, alert=stored[0])
        return message

    def _new(
        self, name: str, channel: Channel, alert: Alert, hushed: bool, dead: Sequence[Message]
    ) -> list[Message]:
        told = self._state.told(alert).get(name)
        waiting = [message for message in dead if message.alert.incident == alert.incident]
        if hushed and (alert.status != "resolved" or not told):
            return []
        if any(message.alert.status == alert.status for message in waiting):
            return []
        if waiting and not told:  # gone, and that it fired has not arrived: that goes first
            first = waiting[0]
            told = Told(first.number + 1, None, first.alert.severity, frozenset())
        quiet = silenced(alert, self._state.silences(), self._now)[1]
        message = due(alert, channel, told, self._now, quiet=quiet)
        return [message] if message else []

    def _fires(self, alert: Alert) -> bool:
        firing = {each.incident for each, _ in self._alerts if each.status == "firing"}
        return alert.status == "firing" and alert.incident in firing


def _is_over(message: Message, result: Result) -> bool:
    """Whether a dead letter of the same channel need not go out any more."""
    alert, other = message.alert, result.message.alert
    if alert.kind == other.kind == PLAIN and alert.key == other.key and alert.incident != other.incident:
        return True
    return result.cause is None and message.id == result.message.id


def _outcome(settings: Settings, name: str, channel: Channel, results: Sequence[Result]) -> Outcome:
    causes = [result.cause for result in results if result.cause is not None]
    if not causes:
        return Outcome(name, channel.place, len(results))
    where = channel.place or f"the channel '{name}'"
    setting = "monitoring.webhook" if is_old(settings, name) else f"[monitoring.alerts.{name}]"
    error = (
        f"The alert was not delivered to {where} ({causes[0]}). It is kept, and the next run sends it again. "
        f"Check {setting}."
    )
    return Outcome(name, channel.place, len(results) - len(causes), error)
