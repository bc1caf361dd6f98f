"""The service behind the HTTP application: any number of versions, and the policy that divides requests.

No web framework, no engine. What is not loading or computing is done on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import randrange
from secrets import token_hex
from typing import TYPE_CHECKING

from runtime_lib.errors import ModelError, RequestError, ServiceError, quoted
from runtime_lib.serving.log import PredictionLog, Role
from runtime_lib.serving.predictor import Job, Prediction
from runtime_lib.serving.releases.journal import Held
from runtime_lib.serving.releases.resolve import resolve_apart
from runtime_lib.serving.traffic import SLOTS, Policy, Turns
from runtime_lib.serving.version import Version, open_version
from runtime_lib.settings import Settings

if TYPE_CHECKING:
    from runtime_lib.data.rows import Checked

__all__ = ["VERSION_HEADER", "Service"]

VERSION_HEADER = b"x-mlops-version"
"""Names the version that answers, in a request and in an answer."""


class Service:
    """The versions that are loaded, and which of them answers a request."""

    def __init__(
        self, settings: Settings, *, name: str, log: PredictionLog | None, role: Role = "primary"
    ) -> None:
        """
        Args:
            name: of the registered model.
            log: None: nothing is logged.
            role: under which answers are logged: `shadow` where nobody is given them.
        """
        serving = settings.serving
        self._settings, self._log, self._role = settings, log, role
        self.name, self.max_rows, self.seconds = name, serving.max_rows, serving.timeout
        self.versions: dict[str, Version] = {}
        self.policy: Policy | None = None
        self._key = serving.sticky.lower().encode()
        self._turns = Turns(randrange(SLOTS))
        self._ids, self._id = token_hex(6), count(1)

    @property
    def not_ready(self) -> str:
        """Why it should be sent no traffic; empty: it may be."""
        if self.policy is None:
            return "No model is loaded: the server is starting or stopping."
        return (self._log and self._log.failing) or ""

    async def prepare(self, models: Mapping[str, Held]) -> None:
        """Load the versions that are not loaded yet; nobody is answered by them before `commit`.

        Raises:
            ModelError, DataError: one cannot be served. None of them is kept then.
        """
        missing = {name: held for name, held in models.items() if name not in self.versions}
        here = {name: await self._fetched(name, held) for name, held in missing.items()}
        for held in here.values():
            await asyncio.to_thread(_check_digest, held)
        new = {name: self._open(name, Path(held.folder)) for name, held in here.items()}
        try:
            for version in new.values():
                await asyncio.to_thread(version.start)
        except BaseException:
            for version in new.values():
                version.predictor.stop()
            raise
        self.versions |= new

    def commit(self, policy: Policy) -> None:
        """Answer by a policy from now on; let go of versions that it does not name."""
        self.policy = policy
        self._keep(policy.weights)

    def shadow(self, policy: Policy) -> None:
        """Keep the versions that shadow, and let go of others; requests are given to a version by name."""
        self._keep(policy.shadows)

    def _keep(self, names: Collection[str]) -> None:
        loop = asyncio.get_running_loop()
        for name in [name for name in self.versions if name not in names]:
            left = self.versions.pop(name)
            # A request that it was chosen for may still be on its way.
            loop.call_later(self.seconds, loop.run_in_executor, None, left.predictor.stop)

    def choose(self, headers: Mapping[bytes, bytes]) -> Version:
        """The version that answers a request.

        Raises:
            ServiceError: none is loaded yet.
            RequestError: the request asks for one that is not here (404).
        """
        policy = self.policy
        if policy is None:
            raise ServiceError(
                "No model is loaded: the server is starting or stopping. Try again in a moment."
            )
        if asked := headers.get(VERSION_HEADER):
            return self.named(asked.decode("latin-1"))
        if policy.only:
            return self.versions[policy.only]
        key = headers.get(self._key)
        return self.versions[policy.of_key(key) if key else policy.at(self._turns.next())]

    def named(self, version: str) -> Version:
        """The version of that name.

        Raises:
            RequestError: it is not here (404).
        """
        if found := self.versions.get(version):
            return found
        here = ", ".join(self.versions) or "none yet"
        raise RequestError(
            f"Unknown version '{version}' of '{self.name}'. This server holds {here}.", status=404
        )

    def predict(
        self, version: Version, rows: Checked, ids: Sequence[str] | None
    ) -> asyncio.Future[Prediction]:
        """Have rows answered in the version's next batch. Once that is done, the log holds every row.

        Args:
            ids: `n` distinct names for the rows, to join labels on later; made up if not given.

        Raises:
            RequestError: ids that do not fit.
            ServiceError: the version is not loaded, too many wait, or the log cannot be written.
        """
        names = self.ids(ids, rows.length)
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        version.predictor.submit(Job(rows, names, time.monotonic() + self.seconds, answer))
        return answer

    def compute(self, version: Version, rows: Checked, ids: Sequence[str] | None) -> Prediction:
        """Answer one request by itself; in the version's thread only.

        Raises:
            RequestError, ServiceError: as `predict`.
        """
        return version.predictor.compute([rows], [self.ids(ids, rows.length)])[0]

    def ids(self, given: Sequence[str] | None, rows: int) -> Sequence[str]:
        """The ids of `n` rows, made up where none are given.

        Raises:
            RequestError: they do not fit.
        """
        if given is not None:
            return _check_ids(given, rows)
        return [f"{self._ids}-{next(self._id):x}" for _ in range(rows)]

    def check_count(self, rows: int) -> None:
        """
        Raises:
            RequestError: more rows than one request may have (413).
        """
        if rows > self.max_rows:
            raise RequestError(
                f"{rows} rows in one request; at most {self.max_rows} are taken (serving.max_rows). "
                f"Send them in batches.",
                status=413,
            )

    async def _fetched(self, version: str, held: Held) -> Held:
        """Its files on this machine: a worker of a cluster may run on another one than the supervisor."""
        if not held.digest or Path(held.folder).is_dir():
            return held
        return replace(held, folder=(await resolve_apart(self._settings, version)).held.folder)

    def _open(self, version: str, folder: Path) -> Version:
        return open_version(
            self._settings, folder, name=self.name, version=version, log=self._log, role=self._role
        )

    def stop(self) -> None:
        """Refuse further requests, and finish those under way."""
        self.policy = None
        for version in self.versions.values():
            version.predictor.stop()


def _check_digest(held: Held) -> None:
    from runtime_lib.training.model import digest

    if held.digest and digest(Path(held.folder)) != held.digest:
        raise ModelError(f"The model in {held.folder} is not the one that was released: its digest differs.")


def _check_ids(ids: Sequence[str], count: int) -> Sequence[str]:
    if len(ids) != count:
        raise RequestError(
            f"'ids' has {len(ids)} entries for {count} rows. Send one id per row, or none at all."
        )
    seen: set[str] = set()
    for row, value in enumerate(ids):
        if not isinstance(value, str) or not value:
            raise RequestError(f"ids, row {row}: {quoted(value)} is not an id. Send non-empty text.")
        if value in seen:
            raise RequestError(
                f"ids, row {row}: '{value}' occurs twice. Labels are joined by id, so each must differ."
            )
        seen.add(value)
    return ids
