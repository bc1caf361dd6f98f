"""Words before a command that only say where it runs: `uv run`, `sudo`, `docker run … image`."""

from __future__ import annotations

import re
import shlex

__all__ = ["as_text", "inner_script", "once"]

_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
# What runs another command: its first words → its options that take a value.
_RUNNERS: dict[tuple[str, ...], frozenset[str]] = {
    ("sudo",): frozenset({"-u", "-g"}),
    ("env",): frozenset({"-u"}),
    ("command",): frozenset(),
    ("exec",): frozenset(),
    ("nohup",): frozenset(),
    ("sshpass",): frozenset({"-p", "-f"}),
    ("time",): frozenset(),
    ("travis_retry",): frozenset(),
    ("retry",): frozenset({"-t", "-d"}),
    ("nice",): frozenset({"-n"}),
    ("xvfb-run",): frozenset({"-s", "--server-args", "-n", "-e"}),
    ("uv", "run"): frozenset(
        [
            "--with",
            "--python",
            "-p",
            "--extra",
            "--group",
            "--only-group",
            "--no-group",
            "--package",
            "--project",
            "--directory",
            "--env-file",
            "--index",
            "--index-url",
            "--with-requirements",
            "--with-editable",
            "--config-file",
            "--cache-dir",
            "--resolution",
        ]
    ),
    ("uvx",): frozenset({"--with", "--from", "--python", "-p", "--with-requirements"}),
    ("uv", "tool", "run"): frozenset({"--with", "--from", "--python", "-p"}),
    ("pipx", "run"): frozenset({"--spec", "--python", "--pip-args"}),
    ("poetry", "run"): frozenset({"-C", "--directory", "-P"}),
    ("pipenv", "run"): frozenset(),
    ("conda", "run"): frozenset({"-n", "--name", "-p", "--prefix"}),
    ("mamba", "run"): frozenset({"-n", "--name", "-p", "--prefix"}),
    ("micromamba", "run"): frozenset({"-n", "--name", "-p", "--prefix"}),
    ("pixi", "exec"): frozenset({"-s", "--spec", "-c"}),
    ("mise", "exec"): frozenset(),
    ("mise", "x"): frozenset(),
    ("nix", "develop"): frozenset(),
    ("nix-shell",): frozenset(),
    ("dotenv", "run"): frozenset({"-f"}),
    ("op", "run"): frozenset({"--env-file"}),
    ("doppler", "run"): frozenset(),
}
_COUNTED = {"timeout": 1, "gtimeout": 1, "travis_wait": 1}
# `python -m X` of these is X.
_AS_MODULE = frozenset(
    {"nox", "tox", "pre_commit", "poethepoet", "invoke", "pdm", "poetry", "hatch", "uv", "pipenv"}
)
_SHELL_OPTIONS = re.compile(r"^-[a-zA-Z]*c[a-zA-Z]*$")
_SHELLS = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "dash"})
_DOCKER_VALUES = frozenset(
    [
        "-v",
        "--volume",
        "-e",
        "--env",
        "-w",
        "--workdir",
        "--name",
        "-p",
        "--publish",
        "-u",
        "--user",
        "--network",
        "--net",
        "--entrypoint",
        "--env-file",
        "--gpus",
        "--shm-size",
        "-m",
        "--memory",
        "--cpus",
        "--mount",
        "--ipc",
        "--platform",
        "--label",
        "-l",
        "--add-host",
        "--hostname",
        "-h",
        "--cidfile",
        "--runtime",
        "--ulimit",
        "--device",
        "--cap-add",
        "--link",
        "--pull",
        "--restart",
        "--security-opt",
        "--tmpfs",
        "--volumes-from",
    ]
)


def once(words: list[str]) -> list[str]:
    """Without the outermost of these words; the same words if there is none."""
    at = 0
    while at < len(words) and _ASSIGNMENT.match(words[at]):
        at += 1
    if at:
        return words[at:]
    if not words:
        return words
    if words[0] in _COUNTED:
        return _after_options(words, 1, frozenset({"-s", "-k"}))[_COUNTED[words[0]] :]
    for size in (3, 2, 1):
        values = _RUNNERS.get(tuple(words[:size]))
        if values is not None and len(words) > size:
            return _after_options(words, size, values) or words
    if re.fullmatch(r"python[\d.]*|py", words[0]) and words[1:2] == ["-m"] and words[2:3]:
        name = words[2]
        if name in _AS_MODULE:
            return [{"pre_commit": "pre-commit", "poethepoet": "poe"}.get(name, name), *words[3:]]
    if words[0] in ("docker", "podman", "nvidia-docker", "docker-compose"):
        return _in_container(words)
    return words


def _after_options(words: list[str], at: int, values: frozenset[str]) -> list[str]:
    while at < len(words) and (
        words[at].startswith("-") or words[at] == "&&" or _ASSIGNMENT.match(words[at])
    ):
        if words[at] in ("--", "-c", "--command"):
            return words[at + 1 :]
        if words[at] == "-m" and words[at + 1 : at + 2]:  # uv run -m pytest
            return ["python", *words[at:]]
        at += 2 if words[at] in values else 1
    return words[at:]


def _in_container(words: list[str]) -> list[str]:
    """The command that a container gets; without one the words stay."""
    if words[:2] in (["docker", "run"], ["podman", "run"], ["nvidia-docker", "run"]):
        rest = _after_options(words, 2, _DOCKER_VALUES)
        entry = _value(words, "--entrypoint")
        inner = ([entry] if entry else []) + rest[1:]
        return inner if inner and not inner[0].startswith("-") else words
    if words[:2] in (["docker", "exec"], ["podman", "exec"]):
        return _after_options(words, 2, _DOCKER_VALUES)[1:] or words
    start = 1 if words[0] == "docker-compose" else 2 if words[1:2] == ["compose"] else 0
    if not start:
        return words
    rest = _after_options(words, start, frozenset({"-f", "--file", "-p", "--profile", "--env-file"}))
    if rest[:1] in (["run"], ["exec"]):
        return _after_options(rest, 1, _DOCKER_VALUES)[1:] or words
    return words


def _value(words: list[str], option: str) -> str:
    for place, word in enumerate(words):
        if word == option and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(option + "="):
            return word.partition("=")[2]
    return ""


def inner_script(words: list[str]) -> str | None:
    """The script of `bash -c "script"`; None for anything else."""
    if words and words[0] in _SHELLS:
        for place, word in enumerate(words[1:], 1):
            if _SHELL_OPTIONS.match(word) and place + 1 < len(words):
                return words[place + 1]
            if not word.startswith("-"):
                break
    return None


def as_text(words: list[str]) -> str:
    """Words as a command again; signs of the shell in them stay readable."""
    return " ".join(
        word if re.fullmatch(r"[\w@%+=:,./$(){}\[\]*<>&~^!-]+", word) else shlex.quote(word) for word in words
    )
