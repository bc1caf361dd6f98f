"""Samples of the machine and of energy, as far as the hardware room knows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from runtime_lib.exposition import Sample
from runtime_lib.hardware.energy.counters import POWERCAP
from runtime_lib.hardware.energy.estimate import Energy, cost
from runtime_lib.hardware.energy.meter import meter
from runtime_lib.hardware.read.facts import Facts
from runtime_lib.hardware.read.readings import THERMAL
from runtime_lib.hardware.read.state import state
from runtime_lib.monitoring.metrics import definitions as d
from runtime_lib.monitoring.metrics.fields import sample
from runtime_lib.settings import Hardware
from runtime_lib.tracking.record import read

__all__ = ["Machine", "of_training"]


class Machine:
    """This machine, metered from when it is made until `close`."""

    def __init__(self, facts: Facts, hardware: Hardware, *, powercap: Path = POWERCAP) -> None:
        self._facts, self._hardware, self._powercap = facts, hardware, powercap
        self._joules: float | None = None
        self._open()

    def samples(self, model: str) -> Iterator[Sample]:
        """What is known of it now; of energy only what counters measure."""
        now = state(facts=self._facts)
        thermal = None if now.thermal is None else THERMAL.index(now.thermal)
        yield from sample(d.THERMAL, thermal, model=model)
        yield from sample(d.FREE_MEMORY, now.free_memory_bytes, model=model)
        yield from sample(d.GPU, now.gpu_utilisation, model=model)
        yield from sample(d.BATTERY, now.battery, model=model)
        self._count()
        if self._joules is not None:
            yield from self._energy(Energy(self._joules, "measured", "", 0.0), model)

    def close(self) -> None:
        """End the counters."""
        self._metering.close()

    def _open(self) -> None:
        self._metering = ExitStack()
        self._used = self._metering.enter_context(meter(self._facts, powercap=self._powercap))

    def _count(self) -> None:
        """Add what was measured since the last look: counters open and close, and never wrap unseen."""
        self._metering.close()
        energy = self._used.energy
        if energy.kind == "measured" and energy.joules is not None:
            self._joules = (self._joules or 0.0) + energy.joules
        self._open()

    def _energy(self, energy: Energy, model: str) -> Iterator[Sample]:
        priced = cost(energy, self._hardware)
        yield from sample(d.MACHINE_JOULES, energy.joules, model=model)
        yield from sample(d.MACHINE_COST, priced.money, model=model, currency=priced.currency)
        yield from sample(d.MACHINE_CO2, priced.co2_grams, model=model)


def of_training(record: Path, model: str) -> Iterator[Sample]:
    """Samples of the energy of the last training, from its record; none where there is no record.

    Raises:
        DataError: the record cannot be read.
    """
    if not record.is_dir():
        return
    run, measures = read(record)
    values = {each.name: each.value for each in measures}
    kind = run.tags.get("mlops.energy_kind", "")
    currency = run.tags.get("mlops.energy_cost", "").rpartition(" ")[2]
    yield from sample(d.TRAINING_JOULES, values.get("energy_joules"), model=model, kind=kind)
    yield from sample(d.TRAINING_COST, values.get("energy_cost"), model=model, currency=currency)
    yield from sample(d.TRAINING_CO2, values.get("energy_co2_grams"), model=model)
