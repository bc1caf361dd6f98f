"""Settings on their way to another process: whole on this machine, without logins to another one."""

from __future__ import annotations

import json
from pathlib import Path

from runtime_lib.settings import load
from runtime_lib.settings.wire import from_dict, to_dict, without_logins


def test_settings_arrive_as_they_are_and_at_another_machine_without_what_opens_a_door(tmp_path: Path) -> None:
    (tmp_path / "mlops.toml").write_text(
        '[project]\nname = "shop"\npackage = "shop"\n'
        '[tracking]\nuri = "https://ann:hunter22@mlflow.example:8443/x"\n'
        '[monitoring]\nwebhook = "https://hooks.example/T0KEN"\n[serving]\nworkers = 3\n'
    )
    settings = load(tmp_path, environ={})
    assert from_dict(json.loads(json.dumps(to_dict(settings)))) == settings
    bare = json.dumps(to_dict(without_logins(settings)))
    assert "hunter22" not in bare
    assert "T0KEN" not in bare
    assert from_dict(json.loads(bare)).tracking.uri == "https://mlflow.example:8443/x"
    assert from_dict(json.loads(bare)).serving == settings.serving
