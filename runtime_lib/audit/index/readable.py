"""How a file is read, by its name."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

__all__ = ["LIMITS", "Kind", "is_read", "is_template", "kind_of", "without_example", "without_template"]

Kind = Literal["python", "notebook", "yaml", "toml", "json", "ini", "text", "lock", ""]

# Bytes. A notebook carries its pictures; a data file of JSON says nothing that a check asks for.
LIMITS: dict[Kind, int] = {
    "python": 2_000_000,
    "notebook": 48_000_000,
    "yaml": 500_000,
    "toml": 500_000,
    "json": 250_000,
    "ini": 250_000,
    "text": 500_000,
    "lock": 16_000_000,
}
LOCKS = {
    "uv.lock",
    "poetry.lock",
    "pipfile.lock",
    "pdm.lock",
    "pixi.lock",
    "pylock.toml",
    "conda-lock.yml",
    "conda-lock.yaml",
    "conda.lock",
    "renv.lock",
}
# Long lists of others' packages.
SKIPPED = {"package-lock.json", "pnpm-lock.yaml", "yarn.lock", "composer.lock", "cargo.lock", "gemfile.lock"}
NAMES: dict[str, Kind] = {
    "pipfile": "toml",
    "mlproject": "yaml",
    "mlmodel": "yaml",
    ".flake8": "ini",
    ".coveragerc": "ini",
    ".pylintrc": "ini",
    ".editorconfig": "ini",
    ".bumpversion.cfg": "ini",
    ".condarc": "yaml",
    "citation.cff": "yaml",
    "dvc.lock": "yaml",
    "flake.lock": "",
}
SUFFIXES: dict[str, Kind] = {
    ".py": "python",
    ".pyw": "python",
    ".ipynb": "notebook",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".dvc": "yaml",
    ".toml": "toml",
    ".json": "json",
    ".jsonc": "json",
    ".cfg": "ini",
    ".ini": "ini",
}
TEXTS = (
    ".txt .md .rst .adoc .sh .bash .zsh .ksh .fish .bat .cmd .ps1 .mk .make .dockerfile"
    " .containerfile .tf .hcl .tfvars .bicep .smk .rules .groovy .jenkinsfile .jsonnet .libsonnet"
    " .nix .bzl .r .rmd .qmd .jl .conf .properties .service .timer .cron .sql .nomad .star .just .env"
    " .in .wdl .nf .cue .dhall"
)
SUFFIXES |= dict.fromkeys(TEXTS.split(), "text")
# Of `config.yaml.j2` the name before counts.
TEMPLATES = (".j2", ".jinja", ".jinja2", ".tmpl", ".template", ".tpl", ".mustache", ".erb", ".gotmpl")
BLOCK = re.compile(r"\{%.*?%\}")
EXAMPLES = (".example", ".sample", ".dist", ".disabled", ".off", ".bak", ".old", ".orig")


@lru_cache(maxsize=50_000)
def kind_of(path: str) -> Kind:
    """Of a name that says nothing it is "", and of one without a suffix "text": it may be a script."""
    name = without_template(path.rpartition("/")[2].lower())
    if path.endswith((".dvc/config", ".dvc/config.local")):
        return "ini"
    if name in SKIPPED:
        return ""
    if name in LOCKS or re.fullmatch(r"(?:conda-lock|pylock)\..+", name) or name.endswith(".conda-lock.yml"):
        return "lock"
    if name.startswith(("conda", "requirements")) and name.endswith(".lock"):  # `conda list --explicit`, Rye
        return "text"
    if name in NAMES:
        return NAMES[name]
    start, dot, suffix = name.rpartition(".")
    if not dot or not start:  # "Makefile", ".python-version"
        return "text"
    if dot and (kind := SUFFIXES.get(f".{suffix}", "")):
        return kind
    # "Dockerfile.gpu", "Jenkinsfile.nightly", ".env.production"
    special = start.startswith(("dockerfile", "containerfile", "jenkinsfile", "makefile", "procfile", ".env"))
    return "text" if special else ""


def is_read(path: str) -> bool:
    """Whether a file of this name is read."""
    return kind_of(path) != ""


def is_template(path: str) -> bool:
    """Whether its name says that a tool fills it in: by its ending, or a hole in one of its folders."""
    return path.lower().endswith(TEMPLATES) or "{{" in path or "{%" in path


def without_example(name: str) -> str:
    """A name without the ending that says that nobody reads the file as it is."""
    for ending in EXAMPLES:
        name = name.removesuffix(ending)
    return name


def without_template(name: str) -> str:
    """A name without blocks and the endings of templates and examples, which tells what the file would be."""
    name = without_example(BLOCK.sub("", name) if "{%" in name else name)
    for ending in TEMPLATES:
        name = name.removesuffix(ending)
    return name
