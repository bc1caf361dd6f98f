"""The whole flow on real flights, as a user would type it: `nox -s demo [-- FOLDER]`.

Copies a project out of this working tree, installs it, and runs every command of its README. Each
figure printed is read from what the project wrote in this run; a step that fails ends the demo.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.support.asking import answered, ask, asking, first_row, shares
from tests.support.projects import environment, free_port

HERE = Path(__file__).resolve().parents[1]
MONTH = "2013-10"  # the first month after those that the pipeline has seen
LATER = "2013-12"  # the whole year, for the retraining

console = Console(highlight=False)


class Project:
    """A generated project, driven by its own command line."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = environment()

    def do(self, *command: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command in the project; show it, and its end if it fails."""
        console.print(f"[bold cyan]$ {' '.join(command)}", soft_wrap=True)
        start = time.monotonic()
        done = subprocess.run(
            command, cwd=self.root, env=self.env, text=True, stdout=subprocess.PIPE, check=False
        )
        if done.returncode not in codes:
            console.print(done.stdout[-4000:], markup=False)
            raise SystemExit(f"`{' '.join(command)}` ended with {done.returncode}")
        console.print(f"[dim]  {time.monotonic() - start:.1f} s")
        return done.stdout

    def mlops(self, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """Run a command of the library with `--json` and return what it says."""
        return json.loads(self.do("uv", "run", "--no-sync", "mlops", *arguments, "--json", codes=codes))

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the champion; stop it, with all that it started, at the end."""
        url = f"http://127.0.0.1:{self.env['MLOPS_SERVING__PORT']}"
        command = ("uv", "run", "--no-sync", "mlops", "serve")
        console.print(f"[bold cyan]$ {' '.join(command)} &")
        log = (self.root / "var" / "serve.log").open("w")
        server = subprocess.Popen(
            command, cwd=self.root, env=self.env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _await(f"{url}/ready", server, Path(log.name))
            yield url
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(timeout=60)
            log.close()


def main(folder: Path, extras: str = "") -> None:
    """Show everything in a new project at `folder`; `extras` of the library are added as its owner would."""
    # In the background Ctrl-C may be ignored, also by all that is started from there; it ends the server.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    project = create(folder, extras)
    train(project)
    with listening() as (webhook, alerts), project.serving() as url:
        project.env["MLOPS_MONITORING__WEBHOOK"] = webhook
        serve(project, url)
        monitor(project, alerts)
        with asking(url, requests(project)) as answers:
            release(project, url, retrain(project), answers)
        console.print(f"{len(answers):,} requests meanwhile, none failed.")
    console.rule(f"Done in {time.monotonic() - started:.0f} s")
    console.print(
        f"The project is yours to explore:\n\n"
        f"  cd {folder}\n"
        f"  uv run mlops serve              # the champion on http://127.0.0.1:8000\n"
        f"  uv run mlops run --set train.epochs=20\n"
        f"  uv run mlops monitor --open     # the report in a browser\n"
        f"  uv run mlops ui\n"
    )


def create(folder: Path, extras: str = "") -> Project:
    console.rule("Create a project from this working tree")
    data = {"project_name": "late-flights", "library_source": str(HERE), "ci_provider": "none"}
    given = [part for key, value in data.items() for part in ("--data", f"{key}={value}")]
    with _snapshot() as template:
        project = Project(folder)
        folder.mkdir(parents=True, exist_ok=True)
        project.do("copier", "copy", "--defaults", "--quiet", *given, str(template), str(folder))
    project.do("git", "init", "--quiet")
    if extras:
        _add(folder / "pyproject.toml", f'    "runtime-lib[{extras}]",\n')
    project.do("uv", "sync", "--quiet")
    project.do("git", "add", ".")
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@example.invalid")
    project.do("git", *identity, "commit", "--quiet", "--message", "Start from the template")
    lines = sum(
        len(path.read_text().splitlines()) for d in ("src", "dags") for path in (folder / d).rglob("*.py")
    )
    console.print(f"{folder}: {lines} lines of Python in src/ and dags/")
    return project


def _add(packaging: Path, line: str) -> None:
    """Write a dependency below the fenced lines of the first list, as docs/tracking.md says."""
    lines = packaging.read_text().splitlines(keepends=True)
    end = next(at for at, each in enumerate(lines) if each.strip().startswith("# <<< runtime library"))
    packaging.write_text("".join([*lines[: end + 1], line, *lines[end + 1 :]]))


@contextmanager
def _snapshot() -> Iterator[Path]:
    """The files of this tree as they are, without git: copier would otherwise take the last tag."""
    with tempfile.TemporaryDirectory() as temporary:
        for part in ("copier.yml", "LICENSE", "template", "runtime_lib/VERSION"):
            target = Path(temporary) / part
            target.parent.mkdir(exist_ok=True)
            (shutil.copytree if (HERE / part).is_dir() else shutil.copy)(HERE / part, target)
        yield Path(temporary)


def train(project: Project) -> None:
    console.rule("Data → train → register → gate")
    gate = project.mlops("run")
    rows = sum(json.loads((project.root / "reports/validation.json").read_text())["rows"].values())
    evaluation = json.loads((project.root / "reports/evaluation.json").read_text())
    console.print(f"Flights ingested and validated: {rows:,}")
    for who in ("candidate", "logistic", "naive"):
        console.print(f"  held-out ROC AUC, {who:<9} {evaluation[who]['roc_auc']:.4f}")
    _gate(gate)
    start = time.monotonic()
    again = project.mlops("run")
    console.print(
        f"Nothing changed: {len(again['ran'])} stages ran again, in {time.monotonic() - start:.1f} s"
    )


def serve(project: Project, url: str) -> None:
    console.rule(f"Serve, and play {MONTH} as live requests")
    project.do("uv", "run", "--no-sync", "python", "-m", "late_flights.replay", MONTH)
    start = time.monotonic()
    done = project.mlops(
        "predict", str(requests(project)), "--out", f"var/replay/{MONTH}-predictions.parquet"
    )
    seconds = time.monotonic() - start
    console.print(
        f"{done['rows']:,} rows predicted over HTTP at {url} by version {done['version']} in {seconds:.1f} s"
    )
    row = first_row(requests(project))
    flight = f"{row['carrier']} from {row['origin']} to {row['dest']}"
    console.print(f"  {flight}: {json.dumps(ask(url, row))}", markup=False)


def requests(project: Project) -> Path:
    return project.root / f"var/replay/{MONTH}-requests.parquet"


def release(project: Project, url: str, gate: Mapping[str, Any], answers: list[tuple[float, str]]) -> None:
    """The new version arrives in the running server, and goes back."""
    console.rule("The server follows the champion, and goes back")
    new, old = gate["version"], answers[0][1]
    if not gate["promoted"]:
        project.mlops("champion", "set", new, "--reason", "to show how a version arrives")
    answered(answers, new)
    console.print(f"Traffic at {url}: {shares(url)}")
    start = time.monotonic()
    project.mlops("rollback", "--reason", "to show how a version goes back")
    back = answered(answers, old, since=max(at for at, version in answers if version == new))
    console.print(f"Version {old} answered again {back - start:.1f} s after the command began.")
    console.print(f"Traffic at {url}: {shares(url)}")
    for change in project.mlops("releases"):
        console.print(f"  {change['time'][11:19]} {change['action']} by {change['by']}: {change['reason']}")


def monitor(project: Project, alerts: list[Mapping[str, Any]]) -> None:
    console.rule("The labels come in: drift and performance")
    labels = f"var/replay/{MONTH}-labels.parquet"
    verdict = project.mlops("monitor", "--labels", labels, codes=(0, 4))
    console.print(f"Verdict: {verdict['state']}; report: {verdict['report']}")
    for reason in verdict["reasons"]:
        console.print(f"  {reason}", markup=False)
    if (verdict["drifted"] or verdict["retrain"]) and not alerts:
        raise SystemExit("An alert was due and the webhook heard nothing.")
    for alert in alerts:
        console.print(f"The webhook received: {json.dumps(alert)[:300]}…", markup=False)


def retrain(project: Project) -> Mapping[str, Any]:
    """What the gate says of the new version."""
    console.rule(f"Retrain with months up to {LATER}")
    gate = project.mlops("run", "--set", f"data.last={LATER}", codes=(0, 3))
    console.print(f"Stages that ran: {', '.join(gate['ran'])}")
    _gate(gate)
    return gate


def _gate(gate: Mapping[str, Any]) -> None:
    console.print(f"Gate: {'promoted' if gate['promoted'] else 'refused'}")
    for reason in gate["reasons"]:
        console.print(f"  {reason}", markup=False)
    if not gate["promoted"]:
        console.print(
            "  The champion stays: a new one has to be better (min_gain_over_incumbent in mlops.toml)."
        )


@contextmanager
def listening() -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """A local webhook: its URL, and the alerts that it has received so far."""
    received: list[Mapping[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", received
    finally:
        server.shutdown()


def _await(url: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.3)
    raise SystemExit(f"The server did not become ready:\n{log.read_text()[-4000:]}")


if __name__ == "__main__":
    os.environ["MLOPS_SERVING__PORT"] = str(free_port())
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="late-flights-")).resolve())
