"""The losses of rows whose labels have arrived, by version: asked of the log when there are new labels."""

from __future__ import annotations

from collections.abc import Mapping

from runtime_lib.serving import apart
from runtime_lib.serving.releases.figures import Moments
from runtime_lib.serving.supervisor import Supervisor

__all__ = ["Losses"]


class Losses:
    """Remembers what was found, until labels come in."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._known: tuple[str, int] | None = None
        self._found: Mapping[str, Moments] = {}

    async def since(self, time: str) -> Mapping[str, Moments]:
        """The mean error per row of each version, of the rows that it was given as primary since `time`.

        Args:
            time: ISO 8601.

        Raises:
            MlopsError: labels and answers do not fit.
        """
        settings, state = self._supervisor.settings, self._supervisor.state
        seen = (time, len([*settings.labels.glob("*.parquet")]))
        if seen[1] and seen != self._known:
            folders = {version: state.models[version].folder for version in state.policy.weights}
            found = await apart.ask("runtime_lib.monitoring.losses", settings, since=time, folders=folders)
            self._found = {version: Moments(*moments) for version, moments in found.items()}
            self._known = seen
        return self._found if seen[1] else {}
