"""The state of each recorded machine, reading by reading; what is not sure is None, whatever happens."""

from __future__ import annotations

import time
from dataclasses import fields, replace

import pytest

from runtime_lib.hardware.read.facts import facts
from runtime_lib.hardware.read.state import SENSORS, State, state
from runtime_lib.hardware.replay.folder import Replay
from tests.support.damage import Memory
from tests.support.recorded import RECORDED
from tests.support.stubs import live

FOLDERS = sorted(path.name for path in RECORDED.iterdir() if path.is_dir())
READINGS = [field.name for field in fields(State) if field.name not in ("expected", "sources")]
NO_THERMAL = tuple(name for name in SENSORS["darwin"] if name != "thermal")
GB = 2**30
MEMORY_ONLY = ("free_memory_bytes",)
# A reading that is not named here must be None.
EXPECTED = {
    "any": {"thermal": "Nominal"},
    "m-series-32gb-mini": {"free_memory_bytes": 15055536128},  # vm_stat's pages
    "m1": {"power_mode": "auto"},
    "m1-max": {"power_mode": "auto"},
    "m4": {"gpu_utilisation": 0.3},
    "m5": {"on_battery": True, "battery": 1.0},
    "m5-max": {"gpu_utilisation": 0.27},
}
SENSORS_OF = {"linux-asahi-m1": MEMORY_ONLY, "linux-asahi-m2": MEMORY_ONLY}
LIVE = {
    "sysctl": "printf 'hw.memsize: 17179869184\\nkern.memorystatus_level: 41\\n"
    "kern.memorystatus_vm_pressure_level: 2\\n'",
    "notifyutil": "echo 'com.apple.system.thermalpressurelevel 2'",
    "pmset": "printf 'Currently in use:\\n sleep                1\\n lowpowermode         1\\n'",
    "vm_stat": "printf 'Mach Virtual Memory Statistics: (page size of 16384 bytes)\\nPages free: 1000.\\n"
    "Pages inactive: 200.\\nPages speculative: 30.\\n'",
    "ioreg": 'case "$*" in *Accelerator*) echo \'"PerformanceStatistics" = {"Device Utilization %"=30}\';;'
    " *) cat '{}';; esac".replace("{}", str(RECORDED / "m5" / "ioreg_r_c_AppleSmartBattery_a.plist")),
}


def replayed(**files: str) -> State:
    """The state that a Mac with these files replays; `__` in a name is its dot."""
    return state(Memory({name.replace("__", "."): text for name, text in files.items()}))


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_recorded_machine_gives_what_its_files_say(folder):
    found = state(Replay(RECORDED / folder))
    wanted = EXPECTED.get(folder, {})
    for name in READINGS:
        value = getattr(found, name)
        if isinstance(wanted.get(name), float):
            assert value == pytest.approx(wanted[name]), name
        else:
            assert value == wanted.get(name), name
    assert set(found.sources) == set(wanted)
    assert found.expected == SENSORS_OF.get(folder, SENSORS["darwin"])


def test_a_mac_answers_live(tmp_path):
    found = state(live(tmp_path, LIVE))
    assert replace(found, sources={}) == State(
        thermal="Heavy",
        memory_pressure="warning",
        power_mode="low",
        on_battery=True,
        battery=1.0,
        gpu_utilisation=0.3,
        free_memory_bytes=17179869184 * 41 // 100,
    )
    assert found.sources["thermal"] == "notifyutil thermalpressurelevel"


def test_a_mac_whose_kernel_gives_no_share_is_asked_for_its_pages(tmp_path):
    found = state(live(tmp_path, {**LIVE, "sysctl": "echo 'hw.memsize: 17179869184'"}))
    assert found.free_memory_bytes == 16384 * 1230
    assert found.sources["free_memory_bytes"] == "vm_stat"


@pytest.mark.parametrize("broken", ["sleep 60", "exit 1", "true", "echo 'Error: no such thing'; exit 0"])
@pytest.mark.parametrize("command", sorted(LIVE))
def test_a_command_takes_only_its_own_readings_with_it(tmp_path, command, broken):
    lost = {
        "sysctl": {"memory_pressure"},
        "vm_stat": set(),
        "notifyutil": {"thermal"},
        "pmset": {"power_mode"},
        "ioreg": {"on_battery", "battery", "gpu_utilisation"},
    }[command]
    whole = state(live(tmp_path / "whole", LIVE))
    started = time.monotonic()
    found = state(live(tmp_path / "broken", {**LIVE, command: broken}, timeout=0.5))
    assert time.monotonic() - started < 3
    for name in READINGS:
        wanted = None if name in lost else getattr(whole, name)
        if (name, command) == ("free_memory_bytes", "sysctl"):
            wanted = 16384 * 1230  # vm_stat still answers
        assert getattr(found, name) == wanted, name
    assert found.expected == SENSORS["darwin"], "what fails is still expected"


def test_with_every_command_gone_all_is_unknown_and_expected(tmp_path):
    found = state(live(tmp_path, {}), facts=facts(Replay(RECORDED / "m5")))
    assert found == State()


@pytest.mark.parametrize(
    ("text", "thermal"),
    [
        *(
            (f"com.apple.system.thermalpressurelevel {number}\n", name)
            for number, name in enumerate(["Nominal", "Moderate", "Heavy", "Trapping", "Sleeping"])
        ),
        ("com.apple.system.thermalpressurelevel 5\n", None),
        ("com.apple.system.thermalpressurelevel 10\n", None),
        ("com.apple.system.thermalpressurelevel -1\n", None),
        ("com.apple.system.thermalpressurelevel 1,0\n", None),
        ("com.apple.system.thermalpressurelevel\n0\n", None),
        ("com.apple.system.thermalpressurelevel Failed with code 1\n", None),
        ("Failed with code 1000002\n", None),
        ("com.apple.system.this.key.does.not.exist 0\n", None),
        ("xcom.apple.system.thermalpressurelevel 0\n", None),
        ("0\n", None),
        ("", None),
    ],
)
def test_thermal_pressure_needs_its_own_key_and_a_level(text, thermal):
    assert replayed(notifyutil__txt=text).thermal == thermal


def test_a_virtual_mac_has_no_thermal_pressure_although_its_key_reads_0():
    files = {"notifyutil__txt": "com.apple.system.thermalpressurelevel 0\n"}
    for virtual in ("kern.hv_vmm_present: 1\n", "machdep.cpu.brand_string: Apple M4 Max (Virtual)\n"):
        found = replayed(**files, sysctl__txt=virtual)
        assert found.thermal is None
        assert found.expected == NO_THERMAL
    assert replayed(**files, sysctl__txt="kern.hv_vmm_present: 0\n").thermal == "Nominal"


@pytest.mark.parametrize(
    ("value", "pressure"), [("1", "normal"), ("2", "warning"), ("4", "critical"), ("3", None), ("", None)]
)
def test_memory_pressure_is_the_kernels_level(value, pressure):
    assert replayed(sysctl__txt=f"kern.memorystatus_vm_pressure_level: {value}\n").memory_pressure == pressure


def test_free_memory_is_a_percentage_of_the_memory_from_the_best_source():
    sizes = f"hw.memsize: {100 * GB}\n"
    pages = (
        "Mach Virtual Memory Statistics: (page size of 10 bytes)\n"
        "Pages free: 1.\nPages inactive: 2.\nPages speculative: 3.\n"
    )
    assert replayed(sysctl__txt=f"{sizes}kern.memorystatus_level: 20\n").free_memory_bytes == 20 * GB
    assert replayed(sysctl__txt=f"{sizes}kern.memorystatus_level: 101\n").free_memory_bytes is None
    assert replayed(sysctl__txt="kern.memorystatus_level: 20\n").free_memory_bytes is None
    both = replayed(sysctl__txt=f"{sizes}kern.memorystatus_level: 20\n", vm_stat__txt=pages)
    assert both.free_memory_bytes == 20 * GB
    assert replayed(vm_stat__txt=pages).free_memory_bytes == 60
    assert replayed(vm_stat__txt=pages.replace("Pages inactive: 2.\n", "")).free_memory_bytes is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("Currently in use:\n powermode            0\n", "auto"),
        ("Currently in use:\n powermode            1\n", "low"),
        ("Currently in use:\n powermode            2\n", "high"),
        ("Currently in use:\n lowpowermode         0\n", "auto"),
        ("Currently in use:\n lowpowermode         1\n", "low"),
        ("Currently in use:\n lowpowermode         2\n", None),
        ("Currently in use:\n powermode            3\n", None),
        ("Currently in use:\n powermode            0,5\n", None),
        ("Currently in use:\n powermode            2\n lowpowermode         0\n", "high"),
        ("Currently in use:\n powermode            1\n lowpowermode         1\n", "low"),
        ("Currently in use:\n powermode            0\n lowpowermode         1\n", None),
        ("Currently in use:\n powermode            1\n lowpowermode         0\n", None),
        ("Currently in use:\n lowpowermode         01\n", None),
        ("Battery Power:\n powermode 1\nAC Power:\n powermode 0\n", None),
        ("Battery Power:\n powermode 1\nAC Power:\n powermode 1\n", "low"),
        ("Now drawing from 'AC Power'\n", None),
        (" hipowermode 1\n", None),
    ],
)
def test_power_mode_is_one_of_three_or_unknown(text, mode):
    assert replayed(pmset_g__txt=text).power_mode == mode


def test_a_mac_that_lists_no_power_mode_is_not_expected_to_have_one():
    listed = "System-wide power settings:\nCurrently in use:\n standby 1\n sleep 1 (sleep prevented by x)\n"
    assert "power_mode" not in replayed(pmset_g__txt=listed).expected
    for cut in ("", "System-wide power settings:\n", "Currently in use:\n standby 1\n"):
        assert "power_mode" in replayed(pmset_g__txt=cut).expected


def test_gpu_utilisation_is_its_own_key_and_the_busiest_gpus():
    def busy(text: str) -> float | None:
        return replayed(ioreg__txt=text).gpu_utilisation

    assert busy('{"Device Utilization % (driver)"=0,"Device Utilization %"=7,"x"=1}') == 0.07
    assert busy('{"Device Utilization %"=7}\n{"Device Utilization %"=80}') == 0.8
    assert busy('{"Device Utilization % (driver)"=0}') is None
    assert busy('{"Device Utilization %"=101}') is None
    assert busy('{"Device Utilization %"=3') is None, "cut: it may have been 30"
    assert busy('{"Device Utilization %"=30,5,"x"=1}') is None, "a decimal comma"


def plist(body: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">{body}</plist>'


def battery(**keys: str) -> State:
    body = "".join(f"<key>{key}</key>{value}" for key, value in keys.items())
    return replayed(ioreg_battery__plist=plist(f"<array><dict>{body}</dict></array>"))


def test_a_battery_on_intel_counts_in_milliampere_hours():
    found = battery(
        CurrentCapacity="<integer>1250</integer>",
        MaxCapacity="<integer>5000</integer>",
        ExternalConnected="<true/>",
    )
    assert (found.battery, found.on_battery) == (0.25, False)


def test_what_a_battery_cannot_say_is_unknown():
    nothing = battery(
        CurrentCapacity="<integer>150</integer>",
        MaxCapacity="<integer>100</integer>",
        ExternalConnected="<string>No</string>",
    )
    assert (nothing.battery, nothing.on_battery) == (None, None)
    zero = battery(CurrentCapacity="<integer>0</integer>", MaxCapacity="<integer>0</integer>")
    assert zero.battery is None


def test_without_a_battery_only_the_output_itself_says_so():
    assert replayed(ioreg__plist=plist("<array/>")).on_battery is False
    assert battery(BatteryInstalled="<false/>").on_battery is False
    for silent in ("", "not a list", plist("<dict/>"), plist("<array><string>x</string></array>")):
        found = replayed(ioreg__plist=silent)
        assert (found.battery, found.on_battery) == (None, None)


def test_a_battery_that_declares_entities_is_not_expanded():
    bomb = '<!DOCTYPE plist [<!ENTITY a "50">]>' + plist(
        "<array><dict><key>CurrentCapacity</key><integer>&a;</integer>"
        "<key>MaxCapacity</key><integer>100</integer></dict></array>"
    )
    assert replayed(ioreg_battery__plist=bomb).battery is None


@pytest.mark.parametrize("between", ["", "\n", "\0", "\n\0"])
def test_of_several_lists_the_last_whole_one_counts(between):
    lists = [
        plist(
            f"<array><dict><key>CurrentCapacity</key><integer>{charge}</integer>"
            "<key>MaxCapacity</key><integer>100</integer></dict></array>"
        )
        for charge in (10, 20, 30)
    ]
    assert replayed(ioreg_battery__plist=between.join(lists)).battery == 0.3
    assert replayed(ioreg_battery__plist=between.join(lists)[:-20]).battery == 0.2
    torn = between.join([*lists, lists[0].replace(">10<", ">4,5<")])
    assert replayed(ioreg_battery__plist=torn).battery == 0.3


# The answer about this machine is kept for a second.


def test_an_answer_about_this_machine_is_kept_for_a_second_and_no_longer(tmp_path, monkeypatch):
    answer = tmp_path / "notifyutil.txt"
    answer.write_text("com.apple.system.thermalpressurelevel 0\n")
    monkeypatch.setenv("MLOPS_HARDWARE_REPLAY", str(tmp_path))
    machine = facts(Replay(tmp_path))
    started = time.monotonic()
    assert state(facts=machine).thermal == "Nominal"
    answer.write_text("com.apple.system.thermalpressurelevel 3\n")
    kept = state(facts=machine).thermal
    assert time.monotonic() - started < 1, "this machine is too busy for the test"
    assert kept == "Nominal"
    time.sleep(1)
    assert state(facts=machine).thermal == "Trapping"


def test_an_answer_of_another_machine_is_not_kept(tmp_path):
    answer = tmp_path / "notifyutil.txt"
    for number, name in enumerate(["Nominal", "Moderate"]):
        answer.write_text(f"com.apple.system.thermalpressurelevel {number}\n")
        assert state(Replay(tmp_path)).thermal == name
