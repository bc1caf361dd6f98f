"""What Prometheus and Grafana are given of a project: rules, targets, dashboards, as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime_lib import __version__
from runtime_lib.files import atomic_file
from runtime_lib.monitoring.metrics.dashboards import dashboards
from runtime_lib.monitoring.metrics.rules import rules
from runtime_lib.serving.address import url_of
from runtime_lib.settings import Settings

__all__ = ["export"]


def export(settings: Settings, folder: Path) -> list[Path]:
    """Write `rules.yml`, `prometheus.yml` and `dashboards/*.json`, each whole or not at all.

    Other files of the folder are left alone.

    Returns:
        What was written.

    Raises:
        SettingsError: an objective cannot be judged; nothing is written then.
    """
    content = {
        "rules.yml": _yaml(rules(settings)),
        "prometheus.yml": _yaml(_prometheus(settings)),
        **{f"dashboards/{name}": _json(found) for name, found in dashboards(settings).items()},
    }
    for name, text in content.items():
        with atomic_file(folder / name) as new:
            new.write_text(text, encoding="utf-8")
    return [folder / name for name in content]


def _prometheus(settings: Settings) -> dict[str, Any]:
    targets = {
        "mlops-server": url_of(settings).removeprefix("http://"),
        "mlops-monitor": f"127.0.0.1:{settings.monitoring.metrics_port}",
    }
    labels = {"project": settings.project.name}
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target], "labels": labels}]}
            for job, target in targets.items()
        ],
    }


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    head = (
        f"# Written by `mlops metrics export` (runtime-lib {__version__}): write it anew, do not edit it.\n"
    )
    text: str = yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)
    return head + text


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
