"""`mlops.toml`, its named environments and environment variables → one frozen `Settings`.

Precedence, lowest first: the defaults below, the tables of `mlops.toml`, the tables under
`[environments.<name>]` of the environment named by `MLOPS_ENV`, and variables `MLOPS_<TABLE>__<KEY>`
(for instance `MLOPS_SERVING__PORT=9000`). An unknown key is refused with the nearest known one; a key
that was renamed is still read for one minor version, with a warning (`RENAMED`).
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from runtime_lib import __version__
from runtime_lib.errors import SettingsError

__all__ = ["Settings", "find_root", "load"]

FILE = "mlops.toml"
_SOURCES = f"{FILE}, an MLOPS_… variable or an option"


class Moved(NamedTuple):
    """Where a key's value belongs now ("": nowhere), and the version that refuses the old key."""

    to: str
    until: str


# Keys that had another name, as `table.key`. Renamed in 0.4, a key is read until 0.5: one minor version.
# A migration of the same release (runtime_lib/upgrade/migrations.py) rewrites the projects' files.
RENAMED: Mapping[str, Moved] = {}

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
# Bounds that no machine, tariff or grid reaches: they keep infinity out.
Gibibytes = Annotated[float, msgspec.Meta(ge=0, le=2**20)]
Rate = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the settings file; keys that it does not name are refused."""


class Project(_Table, frozen=True):
    name: str
    package: str


class Training(_Table, frozen=True):
    framework: Literal["auto", "mlx", "torch"] = "auto"


class Tracking(_Table, frozen=True):
    """Where runs and models go. A relative sqlite path is taken from the project's folder."""

    uri: str = "sqlite:///var/mlflow.db"
    artifacts: str = "var/artifacts"
    experiment: str = ""


class Registry(_Table, frozen=True):
    """The registered model's name (default: the project's) and the gate in front of `champion`."""

    model: str = ""
    metric: Literal["roc_auc", "average_precision"] = "roc_auc"
    min_gain_over_baseline: Share = 0.01
    max_loss_to_incumbent: Share = 0.0


class Serving(_Table, frozen=True):
    engine: Literal["ray", "local"] = "ray"
    framework: Literal["auto", "mlx", "torch"] = "auto"
    host: str = "127.0.0.1"
    port: Port = 8000
    max_rows: Annotated[int, msgspec.Meta(ge=1)] = 10_000


class Monitoring(_Table, frozen=True):
    """When drift and a drop in performance count. Sources: docs/monitoring.md."""

    min_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    drift_threshold: Annotated[float, msgspec.Meta(gt=0)] = 0.2
    max_drop: Share = 0.05
    webhook: str = ""


class Hardware(_Table, frozen=True):
    """When work waits for the machine, how projects share it, and what its energy costs: docs/hardware.md."""

    # Use the GPU of a virtual machine although it may compute wrongly without an error.
    force_gpu: bool = False
    # A reading that this platform has and that cannot be had: run all the same, wait, or refuse.
    unknown: Literal["run", "wait", "refuse"] = "wait"
    # The hottest thermal pressure at which work starts (macOS's names).
    max_thermal: Literal["Nominal", "Moderate", "Heavy"] = "Moderate"
    # On battery, with less than this share left, work waits.
    min_battery: Share = 0.2
    # Seconds a task waits for the machine before it gives up.
    max_wait: Annotated[int, msgspec.Meta(ge=0)] = 3600
    # GiB that a training takes, and that it can shrink to; 0: not known beforehand, and it cannot shrink.
    memory_gib: Gibibytes = 0.0
    least_memory_gib: Gibibytes = 0.0
    # GiB that a server takes; 0: not known.
    serving_memory_gib: Gibibytes = 0.0
    # Among projects that wait for this machine, the higher number goes first.
    priority: int = 0
    # Shares of memory and GPU that a training takes; 0: what its plan needs.
    memory_share: Share = 0.0
    gpu_share: Share = 0.0
    # Money for a kilowatt-hour in `currency`, and grams of CO2 per kilowatt-hour of the grid.
    price_per_kwh: Rate | None = None
    currency: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] = "EUR"
    grid_intensity: Rate | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a project may set. `root` is the project's folder; all paths hang below it."""

    project: Project
    training: Training = msgspec.field(default_factory=Training)
    tracking: Tracking = msgspec.field(default_factory=Tracking)
    registry: Registry = msgspec.field(default_factory=Registry)
    serving: Serving = msgspec.field(default_factory=Serving)
    monitoring: Monitoring = msgspec.field(default_factory=Monitoring)
    hardware: Hardware = msgspec.field(default_factory=Hardware)
    environment: str = "local"
    root: Path = Path()

    @property
    def model_name(self) -> str:
        return self.registry.model or self.project.name

    @property
    def experiment(self) -> str:
        return self.tracking.experiment or self.project.name

    @property
    def candidate(self) -> Path:
        """Folder of the model that the last training run left behind."""
        return self.root / "models" / "candidate"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def var(self) -> Path:
        """What the project writes while it runs and git ignores: databases, logs, state."""
        return self.root / "var"


def find_root(start: Path | None = None) -> Path:
    """Return the nearest folder at or above `start` (default: here) that holds `mlops.toml`."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder
    raise SettingsError(
        f"No {FILE} in {start} or above it. Go to a project's folder, or make one with `copier copy`."
    )


def load(root: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the project at `root` (default: found from here upwards).

    Raises:
        SettingsError: no file, bad TOML, an unknown key or environment, or a value of the wrong kind.
    """
    environ = os.environ if environ is None else environ
    root = (root or find_root()).resolve()
    tables = _read(root / FILE)
    environments = tables.pop("environments", {})
    _take_renamed(tables)
    name = environ.get("MLOPS_ENV", "local")
    if name in environments:
        _overlay(tables, _take_renamed(environments[name]))
    elif name != "local":
        raise SettingsError(
            _unknown("environment", name, ["local", *environments], f"[environments.{name}] in {FILE}")
        )
    _overlay(tables, _take_renamed(_from_variables(environ)))
    _refuse_unknown(tables)
    try:
        settings = msgspec.convert(tables, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error, tables, root, environ)) from error
    whole, least = settings.hardware.memory_gib, settings.hardware.least_memory_gib
    if 0 < whole < least:
        raise SettingsError(
            f"hardware.least_memory_gib = {least:g}, to which work may shrink, is more than the whole: "
            f"hardware.memory_gib = {whole:g}."
        )
    return msgspec.structs.replace(settings, environment=name, root=root)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"No settings file {path}. Is this the project's folder?") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _overlay(tables: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(tables.get(key), dict):
            _overlay(tables[key], value)
        else:
            tables[key] = value


def _from_variables(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """`MLOPS_SERVING__PORT=9000` → `{"serving": {"port": "9000"}}`."""
    found: dict[str, dict[str, str]] = {}
    for variable, value in environ.items():
        table, separator, key = variable.removeprefix("MLOPS_").lower().partition("__")
        if variable.startswith("MLOPS_") and separator:
            found.setdefault(table, {})[key] = value
    return found


def _take_renamed(layer: dict[str, Any]) -> dict[str, Any]:
    """Give renamed keys of one source their new names, before another source goes over it."""
    for old, (new, until) in RENAMED.items():
        table, _, key = old.partition(".")
        if not isinstance(layer.get(table), dict) or key not in layer[table]:
            continue
        what = f"is called '{new}' now: rename it" if new else "has no effect any more: take it out"
        if _number(__version__) >= _number(until):
            raise SettingsError(f"The key '{old}' ({_SOURCES}) {what}.")
        _warn_once(f"The key '{old}' ({_SOURCES}) {what}. From version {until} on it is refused.")
        value = layer[table].pop(key)
        if not layer[table]:  # the table may be gone as well
            del layer[table]
        if new:
            table, _, key = new.partition(".")
            layer.setdefault(table, {}).setdefault(key, value)
    return layer


@cache
def _warn_once(message: str) -> None:
    logging.getLogger(__name__).warning("%s", message)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _tables() -> dict[str, type]:
    return {
        f.name: f.type
        for f in msgspec.structs.fields(Settings)
        if isinstance(f.type, type) and issubclass(f.type, _Table)
    }


def _refuse_unknown(tables: Mapping[str, Any]) -> None:
    known = _tables()
    for table, content in tables.items():
        if table not in known:
            raise SettingsError(_unknown("table", table, known, _SOURCES))
        if not isinstance(content, Mapping):
            raise SettingsError(f"[{table}] in {FILE} must be a table, not {content!r}.")
        keys = [f.name for f in msgspec.structs.fields(known[table])]
        for key in content:
            if key not in keys:
                raise SettingsError(
                    _unknown("key", f"{table}.{key}", [f"{table}.{k}" for k in keys], _SOURCES)
                )


def _unknown(kind: str, name: str, known: Mapping[str, Any] | list[str], where: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
    return f"Unknown {kind} '{name}' ({where}). {hint}"


def _explain(
    error: msgspec.ValidationError, tables: Mapping[str, Any], root: Path, environ: Mapping[str, str]
) -> str:
    """Add the offending value and where it was set to msgspec's message, which names only the key."""
    place = re.search(r"`\$\.(\w+)\.(\w+)`", str(error))
    if not place:
        return f"{error} Set in {root / FILE}."
    table, key = place.groups()
    variable = f"MLOPS_{table}__{key}".upper()
    where = f"{variable} or by an option" if variable in environ else str(root / FILE)
    return f"{_wrong(error, table, key, tables[table][key])} Set in {where}."


def _wrong(error: msgspec.ValidationError, table: str, key: str, value: object) -> str:
    [field] = [f for f in msgspec.structs.fields(_tables()[table]) if f.name == key]
    if choices := get_args(field.type) if get_origin(field.type) is Literal else ():
        return f"{table}.{key} = {value!r}: choose one of {', '.join(choices)}."
    expected = str(error).partition(" - at")[0]
    for theirs, ours in (
        ("`float | null`", "a number"),
        ("`float`", "a number"),
        ("`int`", "a whole number"),
        ("`str`", "text"),
    ):
        expected = expected.replace(theirs, ours)
    return f"{table}.{key} = {value!r}: {expected}."
