"""A Mac's facts from its commands' output: for each fact the sources that know it, best first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from runtime_lib.hardware.read import parse, probe
from runtime_lib.hardware.read.chips import Chip, chip
from runtime_lib.hardware.read.facts import CoreLevel
from runtime_lib.hardware.read.plist import last_plist

__all__ = ["MacAnswers", "read_facts"]

Candidates = Iterator[tuple[str, Any]]

_SYSCTL, _HARDWARE, _DISPLAYS = (
    "sysctl",
    "system_profiler SPHardwareDataType",
    "system_profiler SPDisplaysDataType",
)
# Families whose every model has an Apple chip, and those that have one from a number on.
_APPLE_MODELS = {"MacBookAir": 10, "MacBookPro": 17, "Macmini": 9, "iMac": 21, "Mac": 13, "VirtualMac": 1}
_PARAVIRTUAL = "Paravirt"  # AppleParavirtGPU, Apple Paravirtualized Graphics Device
_VIRTUAL_MODEL = re.compile("Virtual|VMware|Parallels|QEMU")


class MacAnswers:
    """What a Mac, or a recording of one, answers; each command is asked when its answer is first needed."""

    def __init__(self, of: probe.Probe) -> None:
        self._of = of

    @cached_property
    def _quick(self) -> tuple[tuple[str, ...], ...]:
        return self._of.ask(probe.SYSCTL, probe.GPU)  # side by side: every look at a machine needs both

    @cached_property
    def sysctls(self) -> tuple[Mapping[str, str], ...]:
        """One per answer: a recording may hold those of several calls."""
        return tuple(parse.sysctl(text) for text in self._quick[0])

    @cached_property
    def sysctl(self) -> Mapping[str, str]:
        values: dict[str, str] = {}
        for answer in self.sysctls:
            for key, value in answer.items():
                values.setdefault(key, value)
        return values

    @property
    def gpu_text(self) -> str:
        return "\n".join(self._quick[1])

    def gpu(self, key: str) -> str | None:
        """A value of the graphics accelerator."""
        found = (parse.ioreg_value(text, key) for text in self._quick[1])
        return next((value for value in found if value is not None), None)

    @cached_property
    def hardware(self) -> Mapping[str, Any]:
        return self._profile(probe.HARDWARE, "SPHardwareDataType")

    @cached_property
    def display(self) -> Mapping[str, Any]:
        return self._profile(probe.DISPLAYS, "SPDisplaysDataType")

    @cached_property
    def power(self) -> Mapping[str, Any]:
        """powermetrics' last sample."""
        found = last_plist(self.text(probe.POWER))
        return found if isinstance(found, dict) else {}

    @cached_property
    def mlx(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(parse.literal(text) for text in self.texts(probe.MLX_INFO))

    def texts(self, question: probe.Question) -> tuple[str, ...]:
        [answers] = self._of.ask(question)
        return answers

    def text(self, question: probe.Question) -> str:
        return "\n".join(self.texts(question))

    def _profile(self, question: probe.Question, kind: str) -> Mapping[str, Any]:
        entries = (entry for text in self.texts(question) for entry in parse.profile(text, kind))
        return next(entries, {})


def read_facts(of: probe.Probe) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by field of `Facts`, and their sources."""
    answers = MacAnswers(of)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, candidates in _FIELDS.items():
        for source, value in candidates(answers, values):
            if value is not None:
                values[name], sources[name] = value, source
                break
    return values, sources


def _chip(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} machdep.cpu.brand_string", _brand(answers.sysctl.get("machdep.cpu.brand_string"))
    yield "ioreg IOAccelerator", _apple(answers.gpu("model"))
    yield _HARDWARE, _apple(answers.hardware.get("chip_type"))
    yield (
        "mlx device_info",
        next(filter(None, (_apple(each.get("device_name")) for each in answers.mlx)), None),
    )


def _brand(text: str | None) -> str | None:
    # macOS 11 names no chip (`Apple processor`), and Rosetta a processor that does not exist.
    known = re.match(r"(Intel\(|AMD |Apple A[0-9]+)", text or "")
    return text if known else _apple(text)


def _apple(text: object) -> str | None:
    return text if isinstance(text, str) and parse.generation(text) else None


def _generation(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield "the chip's name", (parse.generation(found.get("chip")) or (None,))[0]


def _variant(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield "the chip's name", (parse.generation(found.get("chip")) or (None, None))[1]


def _model(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} hw.model", _identifier(answers.sysctl.get("hw.model"))
    yield _HARDWARE, _identifier(answers.hardware.get("machine_model"))
    yield "powermetrics", _identifier(answers.power.get("hw_model"))


def _identifier(text: object) -> str | None:
    return text if isinstance(text, str) and re.fullmatch(r"[A-Za-z]+[0-9]+,[0-9]+", text) else None


def _memory(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} hw.memsize", _installed(answers.sysctl.get("hw.memsize"))
    yield _HARDWARE, _installed(answers.hardware.get("physical_memory"))
    sizes = {str(each.get("memory_size")) for each in answers.mlx}
    yield "mlx device_info", _installed(sizes.pop()) if len(sizes) == 1 else None
    header = re.search(r"^The system has ([0-9]+) \(", answers.text(probe.MEMORY), re.MULTILINE)
    yield "memory_pressure", _installed(header[1]) if header else None


def _installed(size: object) -> int | None:
    """Bytes in whole MiB, as computers and virtual machines get them: another number has lost a digit."""
    found = parse.memory(size)
    return found if found is not None and found % 2**20 == 0 else None


def _cpu_count(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} hw.ncpu", parse.integer(answers.sysctl.get("hw.ncpu"))
    # With hyper-threading these are cores, and twice as many CPUs.
    threads = answers.hardware.get("platform_cpu_htt") == "htt_enabled"
    yield _HARDWARE, None if threads else _cores(answers)
    levels = found.get("core_levels") or ()
    alone = found.get("machine") == "arm64"  # one CPU to a core
    yield "its core levels", sum(level.count for level in levels) or None if alone else None


def _cores(answers: MacAnswers) -> int | None:
    return parse.processors(answers.hardware.get("number_processors"), None)[0]


def _core_levels(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    known = _known(found)
    # Never levels from one call and a total from another: they may be of two machines.
    for values in (*answers.sysctls, answers.sysctl if _one_key_each(answers) else {}):
        yield f"{_SYSCTL} hw.perflevel", _levels(parse.perflevels(values, known), answers, found)
    number = answers.hardware.get("number_processors")
    yield f"{_HARDWARE}, by the table of chips", _levels(parse.processors(number, known)[1], answers, found)
    yield (
        "powermetrics, by the table of chips",
        _levels(parse.cluster_levels(answers.power, known), answers, found),
    )


def _one_key_each(answers: MacAnswers) -> bool:
    """Whether the recording holds `sysctl -n KEY` calls, at most one value in each file."""
    return all(len(values) <= 1 for values in answers.sysctls)


def _levels(
    levels: parse.Levels | None, answers: MacAnswers, found: Mapping[str, Any]
) -> tuple[CoreLevel, ...] | None:
    """The levels, unless a total somewhere contradicts them."""
    count = sum(count for _, count in levels or ())
    cpus, cores = (parse.integer(answers.sysctl.get(key)) for key in ("hw.ncpu", "hw.physicalcpu"))
    if found.get("machine") == "arm64":
        cores = cores or cpus  # a core has one thread
    if (cpus or count) < count or {cores, _cores(answers)} - {None, count}:
        return None
    return tuple(CoreLevel(name, count) for name, count in levels) if levels else None


def _known(found: Mapping[str, Any]) -> Chip | None:
    """The row of the chip. A virtual machine has a part of it, also one whose chip's name does not say so."""
    return None if found.get("is_virtual") else chip(found.get("chip"))


def _gpu_cores(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield "ioreg IOAccelerator", parse.integer(answers.gpu("gpu-core-count"))
    yield _DISPLAYS, parse.integer(answers.display.get("sppci_cores"))


def _neural_engine_cores(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    known = _known(found)
    yield f"the table of chips ({found.get('chip')})", known.neural_engine_cores if known else None


def _bandwidth(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    if known := _known(found):
        cpus, gpu = found.get("cpu_count"), found.get("gpu_cores")
        variant = f", {cpus or '?'} cores, {gpu or '?'} GPU cores" if "" not in known.bandwidth_gbs else ""
        value = known.bandwidth(gpu_cores=gpu, cpu_count=cpus)
        yield f"the table of chips ({known.name}{variant})", value


def _os_version(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} kern.osproductversion", _version(answers.sysctl.get("kern.osproductversion"))
    yield "sw_vers", next(filter(None, map(parse.os_version, answers.texts(probe.SW_VERS))), None)


def _version(text: str | None) -> str | None:
    return text if text and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) else None


def _metal(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    for key in ("spdisplays_mtlgpufamilysupport", "spdisplays_metalfamily"):  # macOS 13 and later, earlier
        text = answers.display.get(key)
        family = re.fullmatch(r"spdisplays_(\w+)", text if isinstance(text, str) else "")
        yield _DISPLAYS, family[1] if family else None
    yield "ioreg IOAccelerator", answers.gpu("MetalPluginName") or None


def _is_virtual(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    name, model = found.get("chip") or "", answers.sysctl.get("hw.model") or found.get("model") or ""
    yield "the chip's name", True if "(Virtual)" in name else None
    yield "the model's name", True if _VIRTUAL_MODEL.search(model) else None
    yield _DISPLAYS, True if _PARAVIRTUAL in str(answers.display.get("_name")) else None
    yield "ioreg IOAccelerator", True if _PARAVIRTUAL in answers.gpu_text else None
    yield f"{_SYSCTL} kern.hv_vmm_present", _truth(answers.sysctl.get("kern.hv_vmm_present"))
    # A virtual Mac says so in both names, or has a model that Apple does not make.
    named = _apple(answers.hardware.get("chip_type")) and _apple_model(found)
    yield _HARDWARE, False if named else None


def _is_translated(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    yield f"{_SYSCTL} sysctl.proc_translated", _truth(answers.sysctl.get("sysctl.proc_translated"))
    brand = answers.sysctl.get("machdep.cpu.brand_string", "")
    yield "the chip's name", True if brand.startswith("VirtualApple") else None
    # Only a native process is told the chip, and no Intel Mac translates anything.
    yield "the chip's name", False if _native(answers, brand) else None
    other = answers.hardware and "chip_type" not in answers.hardware
    yield f"{_HARDWARE}: no chip on a model that has one", True if other and _apple_model(found) else None


def _native(answers: MacAnswers, brand: str) -> bool:
    return bool(_apple(brand) or brand.startswith("Intel") or _apple(answers.hardware.get("chip_type")))


def _apple_model(found: Mapping[str, Any]) -> bool:
    family = re.fullmatch(r"([A-Za-z]+)([0-9]+),[0-9]+", found.get("model") or "")
    return family is not None and int(family[2]) >= _APPLE_MODELS.get(family[1], 10**9)


def _machine(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    arm = answers.sysctl.get("hw.optional.arm64") == "1" or found.get("generation") or _apple_model(found)
    yield "the chip", "arm64" if arm else None
    yield "the chip", "x86_64" if (found.get("chip") or "").startswith("Intel") else None


def _working_set(answers: MacAnswers, found: Mapping[str, Any]) -> Candidates:
    total = found.get("memory_bytes") or 0
    for each in answers.mlx:
        size = parse.memory(each.get("max_recommended_working_set_size"))
        own = each.get("memory_size") == total  # else it is of another machine
        yield "mlx device_info", size if own and size and size <= total else None


def _truth(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")


# In the order in which they need one another.
_FIELDS: Mapping[str, Callable[[MacAnswers, Mapping[str, Any]], Candidates]] = {
    "chip": _chip,
    "generation": _generation,
    "variant": _variant,
    "model": _model,
    "machine": _machine,
    "is_virtual": _is_virtual,
    "memory_bytes": _memory,
    "core_levels": _core_levels,
    "cpu_count": _cpu_count,
    "gpu_cores": _gpu_cores,
    "neural_engine_cores": _neural_engine_cores,
    "memory_bandwidth_gbs": _bandwidth,
    "os_version": _os_version,
    "metal": _metal,
    "is_translated": _is_translated,
    "working_set_bytes": _working_set,
}
