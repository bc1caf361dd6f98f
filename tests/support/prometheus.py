"""A real Alertmanager, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import free_port
from tests.support.waiting import eventually

__all__ = ["Alertmanager", "alertmanager", "needs_alertmanager"]

# Debian's package calls the first by its longer name.
_PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
_AMTOOL = shutil.which("amtool")

needs_alertmanager = pytest.mark.skipif(
    not (_PROGRAM and _AMTOOL), reason="Alertmanager and amtool are not installed"
)
_CONFIG = """
route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]
"""
# The password is "horse", hashed by bcrypt.
_WEB = "basic_auth_users: {{me: '{hashed}'}}\n"


class Alertmanager:
    """One that forwards what it gets to a webhook."""

    def __init__(self, port: int, login: str) -> None:
        self.url, self._login = f"http://127.0.0.1:{port}", login

    def is_ready(self) -> bool:
        with suppress(OSError):
            return self._ask("/-/ready").status == 200
        return False

    def alerts(self) -> list[dict[str, Any]]:
        """Those that are active, as its API has them."""
        return json.loads(self._ask("/api/v2/alerts").read())

    def amtool(self, *words: str) -> str:
        command = [str(_AMTOOL), f"--alertmanager.url={self.url}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def _ask(self, path: str) -> Any:
        import base64

        request = urllib.request.Request(self.url + path)
        if self._login:
            request.add_header("Authorization", f"Basic {base64.b64encode(self._login.encode()).decode()}")
        return urllib.request.urlopen(request, timeout=30)


@contextmanager
def alertmanager(folder: Path, hook: str, *, hashed: str = "", login: str = "") -> Iterator[Alertmanager]:
    """Run it in `folder`.

    Args:
        hook: the address that it forwards to.
        hashed: the password that it asks user "me" for, by bcrypt; empty: none.
    """
    (folder / "alertmanager.yml").write_text(_CONFIG.format(url=hook))
    port = free_port()
    command = [
        str(_PROGRAM),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    if hashed:
        (folder / "web.yml").write_text(_WEB.format(hashed=hashed))
        command.append(f"--web.config.file={folder / 'web.yml'}")
    with (folder / "alertmanager.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        found = Alertmanager(port, login)
        eventually(found.is_ready, 120)
        yield found
    finally:
        process.terminate()
        process.wait(60)
