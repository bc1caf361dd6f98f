"""The supervisor is light: what decides a release imports nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys

MODULES = ("ab", "bandit", "evidence", "figures", "judge", "rules", "sequential", "shares", "steps")


def test_no_module_of_others_is_imported():
    script = "".join(f"import runtime_lib.serving.releases.{name}\n" for name in MODULES)
    script += "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    others = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"runtime_lib"}
    assert not {name for name in others if not name.startswith(("_", "sitecustomize"))}
