"""A Mac's facts from its commands' output: for each fact the sources that know it, best first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from runtime_lib.hardware.read import parse
from runtime_lib.hardware.read.chips import Chip, CoreLevel, chip
from runtime_lib.hardware.read.probe import GPU, MLX_INFO, SYSCTL, Probe

__all__ = ["read_facts"]

_Candidates = Iterator[tuple[str, Any]]

# Families whose every model has an Apple chip, and those that have one from a number on.
_APPLE_MODELS = {"MacBookAir": 10, "MacBookPro": 17, "Macmini": 9, "iMac": 21, "Mac": 13, "VirtualMac": 1}
_PARAVIRTUAL = "Paravirt"  # AppleParavirtGPU, Apple Paravirtualized Graphics Device
_VIRTUAL_MODEL = re.compile("Virtual|VMware|Parallels|QEMU")


class _Answers:
    """What a Mac, or a recording of one, answers."""

    def __init__(self, of: Probe) -> None:
        sysctl, self._gpu, mlx = of.ask(SYSCTL, GPU, MLX_INFO)
        # One per answer: a recording may hold those of several calls.
        self.sysctls = tuple(parse.sysctl(text) for text in sysctl)
        self.mlx = tuple(parse.literal(text) for text in mlx)

    @cached_property
    def sysctl(self) -> Mapping[str, str]:
        values: dict[str, str] = {}
        for answer in self.sysctls:
            for key, value in answer.items():
                values.setdefault(key, value)
        return values

    def count(self, key: str) -> int | None:
        return parse.integer(self.sysctl.get(key))

    @property
    def gpu_text(self) -> str:
        return "\n".join(self._gpu)

    def gpu(self, key: str) -> str | None:
        """A value of the graphics accelerator."""
        found = (parse.ioreg_value(text, key) for text in self._gpu)
        return next((value for value in found if value is not None), None)


def read_facts(of: Probe) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by field of `Facts`, and their sources."""
    answers = _Answers(of)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, candidates in _FIELDS.items():
        for source, value in candidates(answers, values):
            if value is not None:
                values[name], sources[name] = value, source
                break
    return values, sources


def _chip(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "sysctl machdep.cpu.brand_string", _brand(answers.sysctl.get("machdep.cpu.brand_string"))
    yield "ioreg IOAccelerator", _apple(answers.gpu("model"))


def _brand(text: str | None) -> str | None:
    # macOS 11 names no chip (`Apple processor`), and Rosetta a processor that does not exist.
    known = re.match(r"(Intel\(|AMD |Apple A[0-9]+)", text or "")
    return text if known else _apple(text)


def _apple(text: str | None) -> str | None:
    return text if parse.generation(text) else None


def _generation(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "the chip's name", (parse.generation(found.get("chip")) or (None,))[0]


def _variant(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "the chip's name", (parse.generation(found.get("chip")) or (None, None))[1]


def _model(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    text = answers.sysctl.get("hw.model", "")
    yield "sysctl hw.model", text if re.fullmatch(r"[A-Za-z]+[0-9]+,[0-9]+", text) else None


def _memory(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "sysctl hw.memsize", _installed(answers.sysctl.get("hw.memsize"))
    sizes = {str(each.get("memory_size")) for each in answers.mlx}
    yield "mlx device_info", _installed(sizes.pop()) if len(sizes) == 1 else None


def _installed(size: object) -> int | None:
    """Bytes in whole MiB, as computers and virtual machines get them: another number has lost a digit."""
    found = parse.memory(size)
    return found if found is not None and found % 2**20 == 0 else None


def _cpu_count(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "sysctl hw.ncpu", answers.count("hw.ncpu")
    yield "sysctl hw.logicalcpu", answers.count("hw.logicalcpu")
    # These count cores: an Intel Mac may have twice as many CPUs.
    if found.get("machine") != "x86_64":
        yield "sysctl hw.physicalcpu", answers.count("hw.physicalcpu")
    if found.get("machine") == "arm64":
        counts = [level.count for level in found.get("core_levels") or ()]
        yield "its core levels", sum(filter(None, counts)) or None if None not in counts else None


def _core_levels(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    known = _known(found)
    # Never levels from one call and a total from another: they may be of two machines.
    whole = (*answers.sysctls, answers.sysctl if _one_key_each(answers) else {})
    levels = [_levels(parse.perflevels(values, known), answers, found) for values in whole]
    complete = [each for each in levels if each and all(level.count for level in each)]
    yield "sysctl hw.perflevel", next(iter([*complete, *filter(None, levels)]), None)


def _one_key_each(answers: _Answers) -> bool:
    """Whether the recording holds `sysctl -n KEY` calls, at most one value in each file."""
    return all(len(values) <= 1 for values in answers.sysctls)


def _levels(
    levels: tuple[CoreLevel, ...] | None, answers: _Answers, found: Mapping[str, Any]
) -> tuple[CoreLevel, ...] | None:
    """The levels, unless a total somewhere contradicts them."""
    cpus = answers.count("hw.ncpu") or answers.count("hw.logicalcpu")
    cores = answers.count("hw.physicalcpu")
    if found.get("machine") == "arm64":
        cores = cores or cpus  # a core has one thread
    if not levels or not parse.agree(levels, cores):
        return None
    count = sum(level.count or 1 for level in levels)
    return levels if (cpus or count) >= count else None


def _known(found: Mapping[str, Any]) -> Chip | None:
    """The row of the chip. A virtual machine has a part of it, also one whose chip's name does not say so."""
    return None if found.get("is_virtual") else chip(found.get("chip"))


def _gpu_cores(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "ioreg IOAccelerator", parse.integer(answers.gpu("gpu-core-count"))


def _neural_engine_cores(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    known = _known(found)
    yield f"the table of chips ({found.get('chip')})", known.neural_engine_cores if known else None


def _bandwidth(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    if known := _known(found):
        cpus, gpu = found.get("cpu_count"), found.get("gpu_cores")
        variant = f", {cpus or '?'} cores, {gpu or '?'} GPU cores" if "" not in known.bandwidth_gbs else ""
        value = known.bandwidth(gpu_cores=gpu, cpu_count=cpus)
        yield f"the table of chips ({known.name}{variant})", value


def _os_version(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    text = answers.sysctl.get("kern.osproductversion", "")
    yield "sysctl kern.osproductversion", text if re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) else None


def _metal(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "ioreg IOAccelerator", answers.gpu("MetalPluginName") or None


def _is_virtual(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    name, model = found.get("chip") or "", answers.sysctl.get("hw.model") or ""
    yield "the chip's name", True if "(Virtual)" in name else None
    yield "the model's name", True if _VIRTUAL_MODEL.search(model) else None
    yield "ioreg IOAccelerator", True if _PARAVIRTUAL in answers.gpu_text else None
    yield "sysctl kern.hv_vmm_present", _truth(answers.sysctl.get("kern.hv_vmm_present"))


def _is_translated(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    yield "sysctl sysctl.proc_translated", _truth(answers.sysctl.get("sysctl.proc_translated"))
    brand = answers.sysctl.get("machdep.cpu.brand_string", "")
    yield "the chip's name", True if brand.startswith("VirtualApple") else None
    # Only a native process sees the chip, and no Intel Mac translates anything.
    yield "the chip's name", False if _apple(brand) or brand.startswith("Intel") else None


def _apple_model(found: Mapping[str, Any]) -> bool:
    family = re.fullmatch(r"([A-Za-z]+)([0-9]+),[0-9]+", found.get("model") or "")
    return family is not None and int(family[2]) >= _APPLE_MODELS.get(family[1], 10**9)


def _machine(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    arm = answers.sysctl.get("hw.optional.arm64") == "1" or found.get("generation") or _apple_model(found)
    yield "the chip", "arm64" if arm else None
    yield "the chip", "x86_64" if (found.get("chip") or "").startswith("Intel") else None


def _working_set(answers: _Answers, found: Mapping[str, Any]) -> _Candidates:
    total = found.get("memory_bytes") or 0
    for each in answers.mlx:
        size = parse.memory(each.get("max_recommended_working_set_size"))
        own = each.get("memory_size") == total  # else it is of another machine
        yield "mlx device_info", size if own and size and size <= total else None


def _truth(text: str | None) -> bool | None:
    return {"0": False, "1": True}.get(text or "")


# In the order in which they need one another.
_FIELDS: Mapping[str, Callable[[_Answers, Mapping[str, Any]], _Candidates]] = {
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
