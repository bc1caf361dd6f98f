"""Segments of the prediction log as the releases until 0.7 wrote them: bare Arrow streams."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa

__all__ = ["old_segment"]

TIME = pa.timestamp("us", tz="UTC")


def old_segment(
    path: Path, batches: list[list[str]], *, number: int, time: datetime, version: str = "1"
) -> list[int]:
    """Write batches of rows with these ids; return where each begins, and last where the file ends.

    A row has the input `hour`, which is its number, `carrier`, and the output `probability`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = pa.field("probability", pa.float64(), nullable=False)
    own = [pa.field(name, pa.string(), nullable=False) for name in ("id", "model", "version")]
    own.insert(1, pa.field("time", TIME, nullable=False))
    last = answer if number == 1 else pa.field("mlops.answer", pa.struct([answer]), nullable=False)
    inputs = [pa.field("hour", pa.float64()), pa.field("carrier", pa.string())]
    schema = pa.schema([*own, last, *inputs], {b"mlops.format": str(number)})
    data, starts, row = schema.serialize().to_pybytes(), [], 0
    for ids in batches:
        count = len(ids)
        hours = [float(row + place) for place in range(count)]
        answers = pa.array([hour / 1000 for hour in hours], pa.float64())
        columns = [
            pa.array(ids, pa.string()),
            pa.array([time] * count, TIME),
            pa.array(["flights"] * count),
            pa.array([version] * count),
            answers if number == 1 else pa.StructArray.from_arrays([answers], fields=[answer]),
            pa.array(hours, pa.float64()),
            pa.array(["UA" if hour % 2 else None for hour in hours], pa.string()),
        ]
        starts.append(len(data))
        data += pa.RecordBatch.from_arrays(columns, schema=schema).serialize().to_pybytes()
        row += count
    path.write_bytes(data)
    return [*starts, len(data)]
