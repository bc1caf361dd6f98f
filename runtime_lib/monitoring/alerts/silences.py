"""Begin and end a silence, by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from runtime_lib.errors import SettingsError
from runtime_lib.monitoring.alerts.silence import Silence, duration
from runtime_lib.monitoring.alerts.state import opened
from runtime_lib.registry.trail import checked_reason, who
from runtime_lib.settings import Settings

__all__ = ["end", "silence"]


def silence(
    settings: Settings,
    *,
    length: str,
    reason: str,
    model: str = "",
    kind: str = "",
    column: str = "",
    now: datetime | None = None,
) -> Silence:
    """Send no alerts about a model, a kind or a column for a while; about none of them: none at all.

    Args:
        length: as `2h`, see `duration`.
        reason: why; it is kept with the user's name.

    Raises:
        SettingsError: `length` or `reason` cannot be taken.
        DataError: the state cannot be read or written.
    """
    now = now or datetime.now(UTC)
    new = Silence.new(
        model=model,
        kind=kind,
        column=column,
        length=duration(length),
        who=who(),
        reason=checked_reason(reason),
        now=now,
    )
    with opened(settings.alerts) as state, state.change():
        for old in state.silences():
            if old.end <= now:
                state.forget_silence(old)
        state.put_silence(new)
    return new


def end(settings: Settings, name: str) -> Silence:
    """End a silence before its time and return it. What it held back is sent by the next run.

    Raises:
        SettingsError: there is none of that id.
        DataError: the state cannot be read or written.
    """
    with opened(settings.alerts) as state, state.change():
        silences = {silence.id: silence for silence in state.silences()}
        if name not in silences:
            known = ", ".join(silences) or "none"
            raise SettingsError(f"There is no silence {name!r}. Known: {known}; see `mlops alerts list`.")
        state.forget_silence(silences[name])
    return silences[name]
