"""Versioning: passwords and keys in the repository."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime_lib.audit.index.model import Evidence, Repo
from runtime_lib.audit.queries import at
from runtime_lib.audit.records import Finding, check

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

_KEYS = re.compile(
    r"-----BEGIN (?:RSA |EC |OPENSSH |DSA |ENCRYPTED )?PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bgithub_pat_\w{60,}|\bglpat-[\w-]{20}\b|\bhf_[A-Za-z]{34}\b|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{40,}"
    r"|\bxox[abprs]-\d{8,}-[\w-]{10,}|\bhooks\.slack\.com/services/T\w{8,}/B\w{8,}/\w{20,}|\bdapi[0-9a-f]{32}\b"
    r"|\bAIza[0-9A-Za-z_-]{35}\b|\bSG\.[\w-]{22}\.[\w-]{43}|AccountKey=[A-Za-z0-9+/]{80,}=="
)
_EXAMPLE = re.compile(
    r"(?i)example|dummy|fake|placeholder|xxxx|0{8,}|1234567|abcdef|your|changeme|<|\*{3}|test"
)
_ENV = re.compile(
    r"^\s*(?:export\s+)?([A-Z0-9_]*(?:SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY)[A-Z0-9_]*)\s*=\s*['\"]?([^'\"\s#]{8,})"
)
_ENV_FILE = re.compile(r"(?:^|/)\.env(?:\.(?!example|sample|template|dist|test)\w+)?$")
_ASIDE = re.compile(
    r"(?i)(?:^|/)(?:tests?|testing|fixtures?|mocks?|examples?|docs?)/|example|sample|template|\.md$|\.rst$"
)


@check(
    "V6",
    "versioning",
    "Is the repository free of passwords and keys?",
    looks_for="Private keys, keys of service accounts, tokens with known beginnings, a tracked `.env` with "
    "values, `.dvc/config.local`; examples and placeholders are none.",
    why="Whoever can read the repository, or a copy, has them for good: history keeps what was removed.",
    fix="Revoke the key first, then remove it, and read it from the environment.",
    effort="hours",
    priority="critical",
    false_answers="A password without a known form is not seen, neither is one in the history.",
    tools=("gitleaks", "detect-secrets"),
    brings="`copier copy` of this template sets up a hook that looks for keys.",
)
def _secrets(repo: Repo, project: Project) -> Finding:
    found = [*_secret_files(repo), *_secret_lines(repo)]
    if found:
        return Finding(
            "fail", f"Keys or passwords were found in tracked files: {len(found)}.", tuple(found[:5])
        )
    if not repo.files:
        return Finding("n/a", "There are no files.", looked_at=("tracked files",))
    path = ".gitignore" if ".gitignore" in repo.files else next(iter(repo.files))
    return Finding(
        "pass",
        f"No passwords or keys were found in {len(repo.files):,} files.",
        (at(path, 1, "first of the files looked at"),),
        confidence="medium",
    )


def _secret_files(repo: Repo) -> list[Evidence]:
    found = [
        at(path, 1, "settings of one person")
        for path in repo.files
        if path.endswith(".dvc/config.local") and _says_secret(repo, path)
    ]
    for path, document in repo.documents.items():
        data = document.data
        if isinstance(data, dict) and data.get("type") == "service_account" and not _ASIDE.search(path):
            key = str(data.get("private_key", ""))
            if "PRIVATE KEY" in key and not _EXAMPLE.search(key) and len(key) > 400:
                found.append(at(path, document.line_of("private_key"), "the key of a service account"))
        if (
            path.rpartition("/")[2] == "kaggle.json"
            and isinstance(data, dict)
            and len(str(data.get("key", ""))) == 32
        ):
            found.append(at(path, document.line_of("key"), "a key of Kaggle"))
    return found


def _says_secret(repo: Repo, path: str) -> bool:
    document = repo.documents.get(path)
    return document is None or any(
        re.search(r"secret|password|key|token", str(one.keys[-1])) for one in document.entries
    )


def _secret_lines(repo: Repo) -> list[Evidence]:
    found = []
    for path, text in repo.texts.items():
        if not _ASIDE.search(path):
            is_env = bool(_ENV_FILE.search(path))
            for number, line in enumerate(text.lines, 1):
                hit = _KEYS.search(line) or (_ENV.match(line) if is_env else None)
                if hit and not _EXAMPLE.search(line) and not (is_env and "$" in line):
                    found.append(at(path, number, "a key or password"))
    for path, document in repo.documents.items():
        if not _ASIDE.search(path):
            found += [
                at(path, one.line, "a key or password") for one in document.entries if _is_key(one.value)
            ]
    for module in repo.code():
        if not _ASIDE.search(module.path):
            found += [at(module, line, "a key or password") for line, text in module.strings if _is_key(text)]
    return found


def _is_key(value: object) -> bool:
    if not isinstance(value, str) or len(value) < 20:
        return False
    hit = _KEYS.search(value)
    # A pattern that looks for keys has their beginnings too.
    return bool(hit) and not _EXAMPLE.search(value) and (not hit[0].startswith("-----") or len(value) > 100)  # type: ignore[index]
