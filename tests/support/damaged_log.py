"""Damage a segment of the prediction log many times and read it: `damaged_log.py FORMAT COUNT FOLDER`.

A process of its own, as what it looks for is the death of the reader. Prints how often each kind was tried.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from runtime_lib.serving.log import Damage, PredictionLog, read_predictions, scan
from tests.support.old_log import old_segment

TIME = datetime(2026, 5, 4, 12, tzinfo=UTC)
BATCHES = [[f"{batch}-{row}" for row in range(batch % 4 + 1)] for batch in range(24)]

HOURS = {name: float(row) for row, name in enumerate(name for ids in BATCHES for name in ids)}


def new_segment(folder: Path) -> list[int]:
    """As `old_segment`, by the log of today; two versions take turns."""
    log, starts, row = PredictionLog(folder), [], 0
    for number, ids in enumerate(BATCHES):
        hours = np.arange(row, row + len(ids), dtype=float)
        carriers = np.array(["UA" if hour % 2 else None for hour in hours], dtype=object)
        rows, answer = {"hour": hours, "carrier": carriers}, {"probability": hours / 1000}
        files = list(folder.glob("*/*.arrows"))
        starts.append(files[0].stat().st_size if files else -1)
        log.append(ids, rows, answer, model="flights", version=str(number % 2), time=TIME)
        row += len(ids)
    log.close()
    [path] = folder.glob("*/*.arrows")
    starts[0] = path.read_bytes().index(b"\xff\xfemlops\x03")
    return [*starts, path.stat().st_size]


def damaged(kind: str, whole: bytes, starts: list[int], draw: random.Random) -> tuple[bytes, int, int]:
    """Return the file, and which bytes of the whole one are not as they were."""
    where = draw.randrange(len(whole))
    if kind == "bit":
        return flipped(whole, where, draw), where, where + 1
    if kind == "hole":
        end = min(len(whole), where + draw.choice([1, 8, 64, 512, 4096]))
        return whole[:where] + bytes(end - where) + whole[end:], where, end
    if kind == "truncation":
        return whole[:where], where, len(whole)
    batch = draw.randrange(len(starts) - 1)  # half-written: another writer's batch follows
    begin, end = starts[batch], starts[batch + 1]
    kept = draw.randrange(begin, end)
    return whole[:kept] + whole[end:], begin if kept == begin else kept, end


def flipped(data: bytes, where: int, draw: random.Random) -> bytes:
    return data[:where] + bytes([data[where] ^ 1 << draw.randrange(8)]) + data[where + 1 :]


def check(number: int, kind: str, seed: int, whole: bytes, starts: list[int], path: Path) -> None:
    draw = random.Random(f"{number} {kind} {seed}")
    data, first, last = damaged(kind, whole, starts, draw)
    path.write_bytes(data)
    found: list[Damage] = []
    table = read_predictions(path.parents[1], on_damage=found.append)
    touched = {batch for batch in range(len(BATCHES)) if first < starts[batch + 1] and starts[batch] < last}
    safe = {name: HOURS[name] for batch, ids in enumerate(BATCHES) if batch not in touched for name in ids}
    case = f"{kind} {seed}: bytes {first} to {last} of {starts}, {[*map(str, found)]}"
    if number == 3:  # nothing false is ever read, whatever became of the beginning
        read = dict(zip(table["id"], table["hour"], strict=True)) if len(table) else {}
        assert safe.items() <= read.items() <= HOURS.items(), case
        gone = sum(len(data[starts[batch] : starts[batch + 1]]) for batch in touched)
        assert sum(each.skipped for each in found if each.offset) <= gone, case
        rows = len(read)
    else:  # without a checksum an id may become another, even one that is there already
        batches = [*scan(path.parents[1], on_damage=found.append)]
        rows = sum(map(len, batches))
        if first >= starts[0]:
            columns = [(batch["id"].to_pylist(), batch["hour"].to_pylist()) for batch in batches]
            assert safe.items() <= {pair for each in columns for pair in zip(*each, strict=True)}, case
    whole_batches = kind in ("truncation", "half-written") and first in starts  # nothing tells of it
    if rows < len(HOURS) and data and not whole_batches:
        assert found, case
    for each in found:
        assert each.path == path, case
        assert 0 <= each.offset <= each.offset + each.skipped <= len(data), case


def main(number: int, count: int, folder: Path) -> None:
    path = folder / "2026-05-04" / "1-0.arrows"
    if number == 3:
        starts = new_segment(folder)
        [path] = folder.glob("*/*.arrows")
    else:
        starts = old_segment(path, BATCHES, number=number, time=TIME)
    whole = path.read_bytes()
    tried: Counter[str] = Counter()
    for kind in ("bit", "hole", "truncation", "half-written"):
        for seed in range(count):
            check(number, kind, seed, whole, starts, path)
            tried[kind] += 1
    print(dict(tried))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
