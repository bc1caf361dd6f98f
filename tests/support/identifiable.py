"""A Mac whose commands print who owns it, among what is asked."""

from __future__ import annotations

from pathlib import Path

from runtime_lib.hardware.read.probe import Live
from tests.support.recorded import RECORDED
from tests.support.stubs import live

M5 = RECORDED / "m5"
# What identifies the owner of a machine, planted among the answers.
SECRETS = (
    "C02XK1ZQK7Q2",
    "1F2E3D4C-5B6A-4789-8ABC-DEF012345678",
    "00008112-001A2B3C4D5E6F70",
    "a4:83:e7:12:34:56",
    "H7QX92LM3V",
    "c0ffee",  # no pattern knows it
    "anna.kowalski",
    "annas-macbook",
    "EmbyServer",
    "-v keepsyms=1",
)
PLANTED = (
    "1F2E3D4C-5B6A-4789-8ABC-DEF012345678 00008112-001A2B3C4D5E6F70 a4:83:e7:12:34:56 H7QX92LM3V "
    "C02XK1ZQK7Q2 /Users/anna.kowalski/data anna.kowalski@example.com anna.kowalski"
)


def cat(name: str) -> str:
    return f"cat '{M5 / name}'"


def mac(tmp_path: Path, **more: str) -> Live:
    """The M5 of the fixtures, every command that is asked, with more identifiers among the lines."""
    values = "\n".join(
        f"{path.name.removeprefix('sysctl_n_').removesuffix('.txt')}: {path.read_text().strip()}"
        for path in sorted(M5.glob("sysctl_n_*.txt"))
    )
    sysctl = (
        f"kern.hostname: annas-macbook\n{values}\nkern.bootargs: -v keepsyms=1\nkern.uuid: {PLANTED}\n"
        "kern.memorystatus_vm_pressure_level: 1\nkern.memorystatus_level: 70\n"
    )
    (tmp_path / "sysctl.out").write_text(sysctl)
    ioreg = f"""case "$*" in
*Accelerator*)
  echo '+-o AGXAcceleratorG17G  <class AGXAcceleratorG17G, id 0x10000039c>'
  echo '  "IOPlatformSerialNumber" = "H7QX92LM3V"'
  echo '  "displayOwner" = "c0ffee"'
  echo '  "PerformanceStatistics" = {{"Device Utilization %"=12,"recoveryCount"=0}}'
  echo '  "MetalPluginName" = "AGXMetalG17G"'
  echo '  "model" = "Apple M5"'
  echo '  "gpu-core-count" = 10'
  ;;
*) {cat("ioreg_r_c_AppleSmartBattery_a.plist")} ;;
esac"""
    modes = "Currently in use:\n sleep  0 (sleep prevented by EmbyServer)\n powermode  1 (anna.kowalski)\n"
    (tmp_path / "pmset.out").write_text(modes)
    scripts = {
        "sysctl": f"cat '{tmp_path}/sysctl.out'",
        "ioreg": ioreg,
        "notifyutil": f"echo 'com.apple.system.thermalpressurelevel 1'; echo '{PLANTED}'",
        "pmset": f"cat '{tmp_path}/pmset.out'",
        "vm_stat": f"echo 'Pages free: 1. {PLANTED}'; echo 'Pages inactive: 2.'",
    }
    return live(tmp_path / "bin", {**scripts, **more})
