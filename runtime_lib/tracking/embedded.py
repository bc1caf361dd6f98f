"""The embedded sqlite store: made, migrated and moved under a lock, each time whole or not at all.

MLflow on its own breaks a fresh store when several processes meet there, or when one is killed half-way. It
also stores absolute paths: a copied project would go on writing into the folder that it was copied from.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from runtime_lib.errors import ServiceError
from runtime_lib.settings import Settings

__all__ = ["prepare"]

# An experiment's tag: the project's folder, as a URI, when its paths were written.
_ROOT_TAG = "mlops.root"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def prepare(settings: Settings, path: Path) -> None:
    """Make a store of the newest schema at `path` whose paths are below the project as it lies now.

    The file as it was before a change is kept next to it as `….before`. The caller holds the store's lock.

    Raises:
        ServiceError: not MLflow's database, or one of a later MLflow.
    """
    if not path.exists():
        _migrate(path, source=None)
    elif _is_older(path):
        _migrate(path, source=path)
    if path.resolve().is_relative_to(settings.root):  # a store elsewhere may belong to several projects
        _settle(settings, path)


def _is_older(path: Path) -> bool:
    """Whether the store's schema is older than the installed MLflow's; a later one is refused."""
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    try:
        with closing(sqlite3.connect(path)) as database:
            [revision] = database.execute("select version_num from alembic_version").fetchone()
        migrations.get_revision(revision)
    except sqlite3.OperationalError:  # no such table: it was never migrated
        return True
    except sqlite3.DatabaseError as error:
        raise ServiceError(f"{path} is not MLflow's database ({error}): restore it, or remove it.") from error
    except CommandError as error:
        raise ServiceError(
            f"{path} was written by a later MLflow than {mlflow.__version__}, which is installed: update it."
        ) from error
    return bool(revision != migrations.get_current_head())


def _migrate(path: Path, *, source: Path | None) -> None:
    """Put a store of the newest schema at `path`."""
    from mlflow.db import upgrade

    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    if source:
        shutil.copy2(source, _before(path))
        shutil.copy2(source, new)
    assert upgrade.callback is not None
    upgrade.callback(f"sqlite:///{new}")
    new.replace(path)


def _settle(settings: Settings, path: Path) -> None:
    """Bring the paths in the store below the project's folder, if they were written in another one."""
    here = settings.root.as_uri()
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
        if _recorded(database, settings) <= {here}:
            return
        database.execute("begin immediate")  # one transaction: a kill leaves the old paths or the new ones
        old = sorted(_recorded(database, settings) - {here})
        if not all(root.startswith("file:///") for root in old):
            return
        shutil.copy2(path, _before(path))
        for root in old:
            _rewrite(database, root, here)
        database.execute("update experiment_tags set value = ? where key = ?", (here, _ROOT_TAG))
        database.execute("commit")
    if old:
        was = ", ".join(url2pathname(urlsplit(root).path) for root in old)
        logging.getLogger(__name__).warning(
            "The project was in %s: the paths of its runs and models now name this folder.", was
        )


def _recorded(database: sqlite3.Connection, settings: Settings) -> set[str]:
    """The folders, as URIs, that the project was in; marks an experiment that is not marked yet."""
    query = "select distinct value from experiment_tags where key = ?"
    if found := {value for [value] in database.execute(query, (_ROOT_TAG,))}:
        return found
    query = "select experiment_id, artifact_location from experiments where name = ?"
    row = database.execute(query, (settings.experiment,)).fetchone()
    below = (settings.root / settings.tracking.artifacts).as_uri().removeprefix(settings.root.as_uri())
    if row is None or not below.startswith("/") or not str(row[1]).endswith(below):
        return set()
    root = str(row[1]).removesuffix(below)
    database.execute(
        "insert into experiment_tags (key, value, experiment_id) values (?, ?, ?)", (_ROOT_TAG, root, row[0])
    )
    return {root}


def _rewrite(database: sqlite3.Connection, old: str, new: str) -> None:
    path, to = url2pathname(urlsplit(old).path), url2pathname(urlsplit(new).path)
    for before, after in ((old, new), (f"file://{path}", new), (path, to)):
        for table, column in _PLACES:
            # Not LIKE: a path may hold its wildcards.
            database.execute(
                f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",  # noqa: S608
                (after, len(before) + 1, len(before) + 1, f"{before}/"),
            )


def _before(path: Path) -> Path:
    return path.with_name(path.name + ".before")
