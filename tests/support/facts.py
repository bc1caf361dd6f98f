"""Facts of a machine that answers with given texts, in short."""

from __future__ import annotations

from pathlib import Path

from runtime_lib.hardware.read.facts import Facts, facts
from runtime_lib.hardware.replay.folder import Replay


def as_row(found: Facts) -> dict[str, object]:
    """The fields that are known, core levels in short."""
    row = {name: value for name, value in found.to_dict().items() if value not in (None, ())}
    row.pop("sources")
    if found.core_levels:
        row["core_levels"] = " + ".join(f"{level.count} {level.name}" for level in found.core_levels)
    return row


def replay(folder: Path, **files: str) -> Facts:
    """The facts of a machine that answers with these texts; `_txt` ends a file's name."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / f"{stem}.{ending}").write_text(text)
    return facts(Replay(folder))


def levels(*counts: tuple[str | None, int], total: int | None = None, announced: int | None = None) -> str:
    lines = [f"hw.ncpu: {total}"] if total else []
    lines += [f"hw.nperflevels: {announced}"] if announced else []
    for number, (name, count) in enumerate(counts):
        lines += [f"hw.perflevel{number}.physicalcpu: {count}"]
        lines += [f"hw.perflevel{number}.name: {name}"] if name else []
    return "\n".join(lines)
