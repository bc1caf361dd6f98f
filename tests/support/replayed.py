"""A Mac in a folder, whose heat a test sets while something looks at it."""

from __future__ import annotations

from pathlib import Path

# A quarter of its 64 GiB is free; every sensor answers.
_ANSWERS = {
    "sysctl.txt": """machdep.cpu.brand_string: Apple M4 Max
hw.memsize: 68719476736
hw.ncpu: 16
kern.hv_vmm_present: 0
sysctl.proc_translated: 0
kern.memorystatus_vm_pressure_level: 1
kern.memorystatus_level: 25
""",
    "pmset_g.txt": "Currently in use:\n lowpowermode         0\n",
}


class ReplayedMac:
    """An M4 Max. Set MLOPS_HARDWARE_REPLAY to its `folder`."""

    def __init__(self, folder: Path, level: int = 0) -> None:
        self.folder = folder
        folder.mkdir()
        for name, text in _ANSWERS.items():
            (folder / name).write_text(text)
        self.heat(level)

    def heat(self, level: int) -> None:
        """0 to 4: Nominal, Moderate, Heavy, Trapping, Sleeping. Nobody reads it half written."""
        path = self.folder / "notifyutil.txt"
        path.with_suffix(".new").write_text(f"com.apple.system.thermalpressurelevel {level}\n")
        path.with_suffix(".new").replace(path)
