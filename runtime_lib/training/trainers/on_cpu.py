"""The plan of a trainer that computes on the CPU: memory by the table, threads by the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from math import ceil
from typing import Any

from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.hardware.device.device import Device
from runtime_lib.settings import Settings
from runtime_lib.training.hold import plan_for

__all__ = ["cpu_plan", "few_threads", "threads"]

_FLOAT32 = 4
_ALONE = 1_000  # rows; for fewer, waking other threads takes longer than their answers


def cpu_plan(
    settings: Settings, framework: str, *, row_bytes: int, rows: int, training: bool = True
) -> ComputePlan:
    """Plan a fit on so many rows, or a prediction of them, in pieces as the memory allows.

    Args:
        row_bytes: what one row takes while the work runs, with every copy that the library makes of it.

    Raises:
        CapacityError: the table does not fit, or (a prediction) not even one row.
    """
    device = Device(framework, "cpu", "its trainer uses no GPU")
    found = plan_for(
        {},
        device,
        width=ceil(row_bytes / _FLOAT32),
        batch_size=1 if training else max(1, rows),
        rows=rows if training else 0,
        training=training,
        hardware=settings.hardware if training else None,
    )
    # It is the table that takes memory here: parameters come while the model grows, and are few.
    limit, _, *others = found.reasons
    need = f"{found.memory_bytes / 2**20:,.0f} MiB for {rows:,} rows of {row_bytes:,} bytes"
    return replace(found, reasons=(limit, need, *others))


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Keep scikit-learn within the plan's threads.

    Of joblib's ways to use them, the one without processes: those would each have a copy of the table, beyond
    the planned memory.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    with ExitStack() as stack:
        if count:
            stack.enter_context(threadpool_limits(count))
            stack.enter_context(parallel_config("threading", n_jobs=count))
        yield


def few_threads(rows: int) -> AbstractContextManager[Any]:
    """One thread for an answer to a few rows: waking others would take longer.

    Of OpenMP's, whose number is this thread's own; that of a BLAS would be the process's.
    """
    return nullcontext() if rows >= _ALONE else _controller().limit(limits=1, user_api="openmp")


@cache
def _controller() -> Any:
    """Looking for the libraries takes longer than an answer."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
