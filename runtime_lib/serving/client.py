"""`mlops predict`: send rows to a running server, and write its predictions to a file."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from runtime_lib.data.features import left_out
from runtime_lib.data.functions import find_features, load_month
from runtime_lib.data.images import opened
from runtime_lib.data.raw import RawTypes, as_json
from runtime_lib.errors import DataError, ServiceError
from runtime_lib.files import atomic_file
from runtime_lib.progress import counted
from runtime_lib.serving.address import url_of
from runtime_lib.settings import Settings
from runtime_lib.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Summary", "predict_file", "predict_raw"]


# The datatype that a server gives to images alone.
_IMAGE = "FP32"


@dataclass(frozen=True)
class Summary:
    """What was predicted, and by which versions, several of which may share the traffic.

    `note`: what was not, and what to do; empty: nothing was left out.
    """

    rows: int
    model: str
    version: str
    out: Path
    note: str = ""


def predict_file(
    settings: Settings,
    file: Path,
    *,
    out: Path,
    url: str = "",
    id_column: str = "id",
    batch: int = 500,
) -> Summary:
    """Predict on each row of a parquet or csv file, and write `id`, the answer, `model`, `version`.

    The answer is `probability`, `value`, a column for each quantile, or `label` and `probability.<class>`.

    Args:
        file: holds the model's input columns, of images their pixels or the paths of files; others are not
            sent. With a column `id_column`, its values become the ids under which labels are joined later;
            without, the server makes ids.
        out: parquet, written whole or not at all.
        url: of the server; by default from the settings.
        batch: rows per request, at most the server's `serving.max_rows`.

    Raises:
        DataError: the file cannot be read, lacks a column, repeats an id, or the server refused a row.
        ServiceError: the server is not reachable, or failed.
    """
    if not file.is_file():
        raise DataError(f"There is no file {file}.")
    server = _Server(url or url_of(settings))
    kinds = _inputs(server, settings)
    table = _read(file, kinds, id_column)
    return _predict(server, table, kinds, _ids(table, id_column, file), str(file), out, batch)


def predict_raw(
    settings: Settings,
    *,
    month: str = "",
    file: Path | None = None,
    out: Path,
    url: str = "",
    batch: int = 500,
) -> Summary:
    """Predict on raw rows, whether their outcome is known or not: a month by the project's `load`, or a file.

    The project's `features` makes inputs and ids of them here; the server is asked as by `predict_file`.

    Args:
        month: as `YYYY-MM`; read from its source, not from `data/raw`.
        file: parquet or csv with the columns that `load` returns; those of the outcome may be left out.

    Raises:
        DataError: there are no rows, the project's functions are not found, or `features` left all rows out.
        ServiceError: the server is not reachable, or failed.
    """
    server = _Server(url or url_of(settings))
    kinds, types = _inputs(server, settings), _raw_types(server)
    server.hang_up()  # it would itself, while load() and features() take their time
    features = find_features(settings)
    if file is None:
        where, raw = month, load_month(settings.project.package, month)
    else:
        where, raw = str(file), read_table(file, text=types.text if types else [])
    raw = types.cast(raw) if types else raw
    if raw.empty:
        raise DataError(f"{where} has no rows.")
    table = features.inputs(raw, where)
    note = left_out(raw, table)
    if table.empty:
        raise DataError(note)
    if lacking := [name for name in kinds if name not in table.columns]:
        raise DataError(
            f"features() returned no '{lacking[0]}', which version {server.version} takes: features.py has "
            f"changed since its training. Train again with `mlops run`, or go back to the file of then."
        )
    summary = _predict(server, table, kinds, _ids(table, "id", Path(where)), where, out, batch)
    return replace(summary, note=note)


def _inputs(server: _Server, settings: Settings) -> dict[str, str]:
    """The inputs of the model that the server holds, with their datatypes."""
    metadata = server.get(f"/v2/models/{quote(settings.model_name, safe='')}")
    server.version, server.output = metadata["versions"][0], metadata["outputs"][0]["name"]
    return {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}


def _raw_types(server: _Server) -> RawTypes | None:
    """The types of the raw columns, where the server's model knows them."""
    try:
        return RawTypes(server.get("/raw")["columns"])
    except ServiceError:  # an older server, or an older model
        return None


def _predict(
    server: _Server,
    table: pd.DataFrame,
    kinds: Mapping[str, str],
    ids: list[str] | None,
    where: str,
    out: Path,
    batch: int,
) -> Summary:
    import pandas as pd

    parts = []
    images = [name for name, kind in kinds.items() if kind == _IMAGE]
    with counted(len(table), "Predicting") as advance:
        for start in range(0, len(table), batch):
            rows = table.iloc[start : start + batch]
            # Files are read here: a server opens none.
            files = {name: opened(rows[name], name, Path()) for name in images}
            rows = rows.assign(**{n: pd.Series(v, rows.index, dtype=object) for n, v in files.items()})
            body: dict[str, Any] = {"inputs": as_json(rows[list(kinds)])}
            if ids is not None:
                body["ids"] = ids[start : start + batch]
            answer = server.post("/invocations", body, f"{where}, rows from {start}: ")
            parts.append(_part(pd, answer, server.output))
            advance(len(rows))
    with atomic_file(out) as temporary:
        pd.concat(parts, ignore_index=True).to_parquet(temporary, index=False)
    versions = sorted({str(version) for part in parts for version in part["version"].unique()})
    return Summary(len(table), parts[-1]["model"].iloc[-1], ", ".join(versions), out)


def _part(pd: Any, answer: dict[str, Any], output: str) -> Any:
    predictions = answer["predictions"]
    if isinstance(predictions[0], dict):  # of several outputs
        columns = pd.json_normalize(predictions)
        columns.insert(0, "id", answer["ids"])
    else:
        columns = pd.DataFrame({"id": answer["ids"], output: predictions})
    return columns.assign(model=answer["model"], version=answer["version"])


def _read(file: Path, kinds: dict[str, str], id_column: str) -> pd.DataFrame:
    table = read_table(
        file, text=[id_column, *(name for name, kind in kinds.items() if kind in ("BYTES", _IMAGE))]
    )
    if lacking := [name for name in kinds if name not in table.columns]:
        raise DataError(f"{file} has no column '{lacking[0]}'. The model takes: {', '.join(kinds)}.")
    if table.empty:
        raise DataError(f"{file} has no rows.")
    return table


def _ids(table: pd.DataFrame, id_column: str, file: Path) -> list[str] | None:
    if id_column not in table.columns:
        return None
    column = table[id_column]
    if column.isna().any():
        raise DataError(
            f"{file}: '{id_column}' is empty in row {int(column.isna().argmax())}. Fill or drop the column."
        )
    ids: list[str] = column.astype(str).tolist()
    if column.duplicated().any():
        value = column[column.duplicated()].iloc[0]
        raise DataError(
            f"{file}: id '{value}' occurs twice in '{id_column}'. Labels are joined by id; make it unique."
        )
    return ids


class _Server:
    """One kept-alive connection, and the server's errors as ours."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(
                f"'{url}' is not the address of a server. It looks like http://127.0.0.1:8000."
            )
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=120)
        self._url, self._path = url, parts.path.rstrip("/")
        self.version = self.output = ""  # of the model that it holds, and the first name in its answers

    def hang_up(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path, None, "")

    def post(self, path: str, body: dict[str, Any], where: str) -> dict[str, Any]:
        try:
            content = json.dumps(body, allow_nan=False).encode()
        except ValueError as error:  # infinity: JSON has no word for it
            raise DataError(f"{where}{error}. Remove infinite values.") from error
        return self._ask("POST", path, content, where)

    def _send(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Once more if the connection breaks: a worker was replaced, or it had been idle for long."""
        for again in (True, False):
            try:
                self._connection.request(method, self._path + path, content, dict(headers))
                reply = self._connection.getresponse()
                return reply, reply.read()
            except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
                self._connection.close()
                if not again:
                    raise
        raise AssertionError

    def _ask(self, method: str, path: str, content: bytes | None, where: str) -> dict[str, Any]:
        # The same rows under the same ids may be asked twice: the last answer counts.
        marked = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        headers = marked if content is not None else {}
        try:
            reply, body = self._send(method, path, content, headers)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(
                f"No answer from {self._url} ({error}). Start the server with `mlops serve`; "
                f"if it has another port, set serving.port or give --url."
            ) from error
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise ServiceError(
                f"{self._url}{path} answered {reply.status} without JSON. Is it `mlops serve`?"
            ) from error
        if reply.status >= 400:
            message = answer.get("error", body.decode(errors="replace"))
            refused = DataError if content is not None and reply.status < 500 else ServiceError
            raise refused(f"{where}{self._url} answered {reply.status}: {message}")
        return dict(answer)
