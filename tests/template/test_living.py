"""Live in the template: new projects install, pass their own checks and run their pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.depth import DEEP, examples
from tests.support.projects import run

PROJECTS: dict[str, dict[str, Any]] = {
    "all of it": {"tier": "standard", "framework": "auto"},
    "the least": {
        "tier": "quick",
        "framework": "torch",
        "ci_provider": "none",
        "with_orchestration": False,
        "with_serving": False,
        "project_license": "Proprietary",
    },
    "mlx, no git": {
        "tier": "standard",
        "framework": "mlx",
        "ci_provider": "gitlab",
        "with_monitoring": False,
        "project_name": "late-flights",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*PROJECTS][: examples(1, 3)])
def test_a_new_project_passes_its_checks_and_runs(render, kind):
    project = render(**PROJECTS[kind])
    git = kind != "mlx, no git"
    run(project, "uv", "sync", "--quiet", *(("--all-groups",) if kind == "all of it" else ()))
    if git:
        run(project, "git", "init", "--quiet")
        run(project, "git", "add", "--all")
    if (project / "noxfile.py").exists():
        run(project, "uv", "run", "--no-sync", "nox")
    else:
        run(project, "uv", "run", "--no-sync", "ruff", "check", ".")
        run(project, "uv", "run", "--no-sync", "pytest")
    if git and (project / ".pre-commit-config.yaml").exists():
        run(project, "uv", "run", "--no-sync", "pre-commit", "run", "--all-files")
    if not DEEP:
        return  # its own tests have run the pipeline, on less data
    run(project, "uv", "run", "--no-sync", "mlops", "run")
    assert (project / "reports" / "promotion.json").is_file()
    if git:
        untracked = run(project, "git", "ls-files", "--others", "--exclude-standard").split()
        assert set(untracked) <= {"dvc.lock", "uv.lock", "reports/promotion.json"}, (
            "what a run leaves behind is ignored or meant for git"
        )
        run(project, "git", "add", "--all")
        if (project / ".pre-commit-config.yaml").exists():
            run(project, "uv", "run", "--no-sync", "pre-commit", "run", "--all-files")
