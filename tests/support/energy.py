"""Machines and counters of energy to meter, and a new interpreter to do it in.

No Apple chip, NVIDIA GPU or RAPL is at hand here. What stands in for them:

- `zeus_apple_silicon`: a module in a folder on PYTHONPATH with the names that version 1.1.0 has in
  bindings/energy_bindings.hpp (`AppleEnergyMonitor()`, `begin_window(key, restart=False)`,
  `end_window(key)`; `cpu_total_mj`, `gpu_mj`, `ane_mj`, `dram_mj` … in millijoules or None) and that
  behaves as apple_energy.hpp does: samples of ever growing counters, the difference of two is a window,
  a key that is open twice or not at all is a RuntimeError, an unknown unit a ValueError.
- NVML: the real `pynvml`, above a small C library in the place of the driver's.
- RAPL: a folder tree of the kernel's shape.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime_lib.hardware import Device
from runtime_lib.hardware.read.facts import Facts
from tests.support.releases import REPOSITORY

CPU, CUDA = Device("torch", "cpu", "test"), Device("torch", "cuda", "test")
METAL = Device("mlx", "gpu", "test")


def mac(chip: str, cores: int, **more: Any) -> Facts:
    values = {"memory_bytes": 2**34, "is_virtual": False, "is_translated": False, **more}
    return Facts(platform="darwin", machine="arm64", chip=chip, cpu_count=cores, **values)


M2_MAX, M4 = mac("Apple M2 Max", 12), mac("Apple M4", 10)
LINUX = replace(M4, platform="linux", machine="x86_64", chip="a processor")
# A translated process cannot load Apple's counters: an estimate, on a Mac too.
TRANSLATED = replace(M2_MAX, machine="x86_64", is_translated=True)
# The same in a new interpreter, which imports only what the meter does.
PRELUDE = f"""
import json, sys
from dataclasses import replace
from pathlib import Path
from runtime_lib.hardware.device.device import Device
from runtime_lib.hardware.energy.meter import meter
from runtime_lib.hardware.read.facts import Facts
CPU, CUDA, METAL, M2_MAX, M4, LINUX = {(CPU, CUDA, METAL, M2_MAX, M4, LINUX)!r}
"""


def run(code: str, folder: Path, **environ: str) -> dict[str, Any]:
    """Run `code` in a new interpreter, stand-ins first on its path; its last line is JSON."""
    path = os.pathsep.join([str(folder), str(REPOSITORY)])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "500", **environ}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SHOW = "\nprint(json.dumps({'joules': e.joules, 'kind': e.kind, 'source': e.source, 'seconds': e.seconds}))"


DRIVER = r"""
#include <stdlib.h>
static int sessions = 0, reads = 0;
int nvmlInitWithFlags(unsigned flags) { sessions++; return 0; }
int nvmlShutdown(void) { sessions--; return 0; }
int open_sessions(void) { return sessions; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = atoi(getenv("GPUS")); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(unsigned long)(index + 1);
    return 0;
}
/* The next figure of MILLIJOULES; a negative one is a device without the counter. */
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    char *at = getenv("MILLIJOULES");
    for (int skip = reads++; skip > 0; skip--) strtoll(at, &at, 10);
    long long value = strtoll(at, &at, 10);
    *millijoules = value;
    return value < 0 ? 3 : 0;
}
"""
needs_driver = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="stands in for the driver with a C compiler"
)
ON_CUDA = (
    """
with meter(replace(LINUX, cuda_devices=("a", "b")), device=CUDA, powercap=Path("none")) as used: pass
import ctypes
assert ctypes.CDLL("libnvidia-ml.so.1").open_sessions() == 0
e = used.energy"""
    + SHOW
)

RANGE = 262_143_328_850


def powercap(folder: Path, *, before: int, packages: int = 1) -> Path:
    """The kernel's tree: packages, a domain inside one, and others that count the same energy again."""
    domains = {f"intel-rapl:{number}": f"package-{number}" for number in range(packages)}
    others = {"intel-rapl:0:0": "core", "intel-rapl:9": "psys", "intel-rapl-mmio:0": "package-0"}
    for domain, name in {**domains, **others}.items():
        (folder / domain).mkdir(parents=True)
        (folder / domain / "name").write_text(f"{name}\n")
        (folder / domain / "max_energy_range_uj").write_text(f"{RANGE}\n")
        (folder / domain / "energy_uj").write_text(f"{before}\n")
    return folder


def count(tree: Path, microjoules: int, *, domain: str = "intel-rapl:0") -> None:
    """Set a counter at once, as the kernel does: a reader never sees half a number."""
    new = tree / "new"
    new.write_text(f"{microjoules}\n")
    new.replace(tree / domain / "energy_uj")
