"""The template of one project, rendered at most once for each version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from runtime_lib.errors import MlopsError, UpgradeError
from runtime_lib.upgrade.answers import Answers
from runtime_lib.upgrade.git import remote
from runtime_lib.upgrade.render import Files, render
from runtime_lib.upgrade.versions import release_tags, version_of

__all__ = ["Renderings"]

_PROBE_SECONDS = 5.0


class Renderings:
    """Renders a project's own versions. A template that cannot be reached is tried only once."""

    def __init__(self) -> None:
        self._made: dict[str, Files] = {}
        self._tags: dict[str, list[str] | None] = {}  # None: not reachable

    def at(self, answers: Answers) -> Files:
        """Render the template as these answers record it.

        Raises:
            UpgradeError: the template or its version cannot be reached, or an answer is refused.
            MissingExtraError: copier is not installed.
        """
        self._reach(answers.source)
        key = hashlib.sha256(
            json.dumps([answers.commit, answers.source, answers.values], default=str).encode()
        )
        if key.hexdigest() not in self._made:
            self._made[key.hexdigest()] = render(answers, ref=answers.commit)
        return self._made[key.hexdigest()]

    def before(self, old: Answers, new: Answers) -> Files:
        """Render what the project had before an update; if the template has moved, from its new address."""
        try:
            return self.at(old)
        except MlopsError:
            if old.source == new.source:
                raise
            return self.at(replace(old, source=new.source))

    def newest(self, answers: Answers) -> str:
        """Return the newest release if it is newer than the project's version, else an empty text.

        Raises:
            UpgradeError: the template cannot be reached.
        """
        known = version_of(answers.commit)
        last = ["", *release_tags(self._reach(answers.source))][-1]
        return last if known and (version_of(last) or ()) > known else ""

    def _reach(self, source: str) -> list[str]:
        """Return the template's tags. Git is asked first: it has a time limit, copier's clone has none."""
        if source not in self._tags:
            try:
                self._tags[source] = list(remote(source, seconds=_PROBE_SECONDS))
            except UpgradeError:
                self._tags[source] = None
        found = self._tags[source]
        if found is None:
            raise UpgradeError(f"The template at {source} cannot be reached.")
        return found
