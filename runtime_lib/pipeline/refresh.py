"""Before DVC: months whose labels or rows have changed at the source are read again.

DVC runs the stage `ingest` when code or parameters have changed. What it cannot see is decided here: a month
is complete since (`data.labels_after`), a month was asked for, the newest month has moved on, an ingest did
not finish. Then the stage is forced. It never takes an earlier output from DVC's run cache, which knows a run
by command, code and parameters alone: it would give back the months of before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from runtime_lib.data import calendar
from runtime_lib.data.reads import Ledger, Read, Reads, digest, late, plan, read_by
from runtime_lib.errors import SettingsError
from runtime_lib.pipeline.dvc import Standing, reproduce, standing
from runtime_lib.settings import Settings
from runtime_lib.settings.params import read_params
from runtime_lib.tracking.lineage import git

__all__ = ["INGEST", "Refresh"]

# The stage that reads the source, and the parameters that only say which months.
INGEST = "ingest"
_WHICH = ("data.first", "data.last")


class Refresh:
    """The months that a run wants, and the ledger of how they were read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reads = Reads(settings.ingest)
        self._data = read_params(settings.root).get("data") or {}
        # A project's own stage may know its months by other parameters.
        ours = {"first", "last"} <= set(self._data)
        self._months = calendar.months(self._data["first"], self._data["last"]) if ours else []
        self._began = calendar.now()

    def run(self, wishes: Sequence[str], *, upstream: Collection[str] = ()) -> list[str]:
        """Run `ingest` if it is due and return the stages that ran.

        Args:
            wishes: months to read again, or `late`, or `all`.
            upstream: stages that come before it, to bring up to date first.
        """
        root = self._settings.root
        done = reproduce(root, sorted(upstream)) if upstream else []
        stand = self._look()
        self._wish(wishes)
        ran = []
        if stand.changed:
            ran = self._reproduce(stand, [INGEST], run_cache=False)
            stand = self._look()
            self._wish(wishes)  # what DVC brought back is known only now
        if self._due():
            ran = self._reproduce(stand, [INGEST], force=True)
            stand = self._look()
        self._settle(stand)
        return [*done, *ran]

    def force(self, stages: Sequence[str]) -> list[str]:
        """Run stages (default: all), `ingest` among them, whatever has changed: it reads every month."""
        stand = self._look()
        self._wish(["all"])
        ran = self._reproduce(stand, stages, force=True)
        self._settle(self._look())
        return ran

    def _reproduce(self, stand: Standing, stages: Sequence[str], **options: bool) -> list[str]:
        self._reads.set_aside(self._settings.raw)
        with self._reads.named(stand.key):
            return reproduce(self._settings.root, stages, only=bool(stages), **options)

    def _due(self) -> bool:
        """Whether the source must be asked although DVC sees no change."""
        raw = self._settings.raw
        here = {path.stem for path in raw.glob("*.parquet")}
        if self._data.get("last") == calendar.LATEST and here != set(self._months):
            return True
        ledger = self._reads.load()
        today, labels_after = calendar.now().date(), self._settings.data.labels_after
        why = plan(self._known(ledger), ledger.months, today=today, labels_after=labels_after)
        return any(why.values()) or self._reads.unfinished(raw)

    def _known(self, ledger: Ledger) -> list[str]:
        """The months that are wanted and were read before."""
        wanted = self._months or sorted(ledger.months)
        return [month for month in wanted if month in ledger.months]

    def _wish(self, wishes: Sequence[str]) -> None:
        """Note in the ledger which months must be read again, so that a kill does not forget it."""
        ledger = self._reads.load()
        for month in {month for wish in wishes for month in self._meant(wish, ledger)}:
            read = ledger.months[month]
            ledger.months[month] = replace(read, again=read.again or read.read < self._began)
        if wishes:
            self._reads.save(ledger)

    def _meant(self, wish: str, ledger: Ledger) -> list[str]:
        known = self._known(ledger)
        if wish == "all":
            return known
        if wish == "late":
            labels_after = self._settings.data.labels_after
            return [month for month in known if late(month, ledger.months[month], labels_after)]
        if wish not in (self._months or known):
            span = f"{self._months[0]} to {self._months[-1]}" if self._months else "none"
            raise SettingsError(
                f"--refresh {wish}: not a month of this project ({span}). Write a month as YYYY-MM, `late` "
                f"or `all`; for a new month change data.last."
            )
        return [wish] if wish in known else []

    def _look(self) -> Standing:
        """Compare `ingest` with dvc.lock; where data/raw came from elsewhere, make the ledger speak of it."""
        stand = standing(self._settings.root, INGEST, self._settings.raw, but=_WHICH)
        ledger = self._reads.load()
        if stand.true and stand.recorded != ledger.raw:
            by = _committed(self._settings.root)
            found = sorted(self._settings.raw.glob("*.parquet"))
            months = {path.stem: _adopt(path, ledger, stand.key, by) for path in found}
            self._reads.save(Ledger(raw=stand.recorded, months=months))
        return stand

    def _settle(self, stand: Standing) -> None:
        """The ingest is done, and DVC has its output: forget what was kept for it."""
        ledger = self._reads.load()
        now = calendar.now()
        # A stage of the project's own keeps no ledger: it ran, and that was what there was to do.
        why = plan(
            ledger.months,
            ledger.months,
            today=now.date(),
            labels_after=self._settings.data.labels_after,
        )
        for month, reason in why.items():
            if reason:
                ledger.months[month] = replace(ledger.months[month], read=now, again=False)
        here = {path.stem for path in self._settings.raw.glob("*.parquet")}
        months = {month: read for month, read in ledger.months.items() if month in here}
        self._reads.save(Ledger(raw=stand.recorded, months=months))
        self._reads.clear()


def _adopt(path: Path, ledger: Ledger, key: str, by: datetime | None) -> Read:
    """What is known of a month in data/raw: by the ledger if it is that file, else by its age."""
    import pyarrow.parquet as parquet

    found = digest(path)
    if (read := ledger.months.get(path.stem)) and read.digest == found:
        return replace(read, key=key)
    rows = parquet.read_metadata(path).num_rows
    return Read(read=read_by(path, by=by), key=key, rows=rows, digest=found)


def _committed(root: Path) -> datetime | None:
    """When the dvc.lock that is here was committed; None: it was not, or there is no git."""
    if git(root, "status", "--porcelain", "--", "dvc.lock") != "":
        return None
    seconds = git(root, "log", "-1", "--format=%ct", "--", "dvc.lock")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None
