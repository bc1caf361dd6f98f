"""Ask every address that is set whether somebody answers there: each under its own name, in seconds."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

from runtime_lib.doctor.finding import Finding
from runtime_lib.settings import Settings
from runtime_lib.settings.channel import Channel
from runtime_lib.settings.channels import variable
from runtime_lib.tracking.reach import DATABASE_PORTS, PROBE_SECONDS, S3_ENDPOINTS

__all__ = ["addresses"]

_PORTS = {"http": 80, "https": 443, "ssh": 22, "sftp": 22, **DATABASE_PORTS}
# Where an object store is, if no endpoint of another maker is set.
_STORES = {"s3": "https://s3.amazonaws.com", "gs": "https://storage.googleapis.com"}


def addresses(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for the tracking server, the artifact store, each data remote and channel of alerts.

    Only those that are set; of this machine's folders, those that another clone would miss.
    Answers of any kind will do, so that no credentials are needed. A finding names host and port alone.
    """
    tracking = urlsplit(settings.tracking.uri)
    if tracking.scheme == "sqlite":
        yield Finding("tracking", "ok", "embedded sqlite")
    else:
        yield _ask("tracking", tracking, "start the server, or set tracking.uri")
    if "://" in settings.tracking.artifacts and tracking.scheme not in ("http", "https"):
        where = _store(urlsplit(settings.tracking.artifacts), {}, S3_ENDPOINTS)
        yield _ask("artifacts", where, "start the store, or set tracking.artifacts")
    for name, remote in _remotes(settings.root):
        yield from _inside(settings.root, name, remote.get("url", ""))
        # DVC does not read MLflow's own variable.
        where = _store(urlsplit(remote.get("url", "")), remote, S3_ENDPOINTS[1:])
        if where.scheme:
            yield _ask(f"data remote {name}", where, "start it, or correct .dvc/config")
    if settings.monitoring.webhook:
        yield _ask("webhook", urlsplit(settings.monitoring.webhook), "correct monitoring.webhook")
    for name, channel in settings.monitoring.alerts.items():
        yield _channel(name, channel)


def _ask(what: str, url: SplitResult, fix: str) -> Finding:
    scheme = url.scheme.partition("+")[0]
    try:
        port = url.port or _PORTS.get(scheme)
    except ValueError as error:
        return Finding(what, "fix", f"{url.hostname}: {error}", fix)
    if not url.hostname or port is None:
        return Finding(what, "note", f"not checked: an address of the kind {url.scheme or '(none)'}")
    where = f"{url.hostname}:{port}"
    try:
        if scheme in ("http", "https"):
            # As MLflow, DVC and the webhook go: through a proxy, if one is set.
            urlopen(f"{scheme}://{where}/", timeout=PROBE_SECONDS).close()  # noqa: S310 (scheme checked)
        else:
            socket.create_connection((url.hostname, port), PROBE_SECONDS).close()
    except HTTPError as error:
        if error.code in (502, 503, 504):  # a proxy answers for a server that is not there
            return Finding(what, "fix", f"{where}: HTTP {error.code}", fix)
    except OSError as error:
        reason = error.reason if isinstance(error, URLError) else error
        said = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
        return Finding(what, "fix", f"{where}: {said}", fix)
    return Finding(what, "ok", f"{where} answers")


def _channel(name: str, channel: Channel) -> Finding:
    what = f"alerts {name}"
    if channel.missing:
        needed = variable(name, channel.missing[0])
        return Finding(what, "fix", "nothing can be sent: a secret is missing", f"set the variable {needed}")
    return _ask(
        what, urlsplit(channel.address or f"smtp://{channel.place}"), f"correct [monitoring.alerts.{name}]"
    )


def _inside(root: Path, name: str, url: str) -> Iterator[Finding]:
    """A folder in the project is left behind by `git clone`: another clone would look into an empty one."""
    folder = (root / ".dvc" / url).resolve()
    if not url or "://" in url or not folder.is_relative_to(root.resolve()):
        return
    new = shlex.quote(f"../{root.resolve().name}-storage")
    move = f"mv {shlex.quote(str(folder.relative_to(root.resolve())))} {new} && " if folder.exists() else ""
    yield Finding(
        f"data remote {name}",
        "note",
        f"{folder} lies in the project, where no other clone finds it",
        f"{move}uv run dvc remote modify {shlex.quote(name)} url {new}",
    )


def _store(url: SplitResult, options: Mapping[str, str], variables: Sequence[str]) -> SplitResult:
    """The address behind a bucket's: that of its endpoint, from its options or the environment."""
    if url.scheme == "azure":
        account = options.get("account_name")
        return urlsplit(f"https://{account}.blob.core.windows.net" if account else "azure:")
    if url.scheme == "wasbs":  # container@account…
        return urlsplit(f"https://{url.hostname}")
    if url.scheme not in _STORES:
        return url
    others = [os.environ.get(name, "") for name in variables] if url.scheme == "s3" else []
    return urlsplit(next(filter(None, [options.get("endpointurl", ""), *others]), _STORES[url.scheme]))


def _remotes(root: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The data remotes of DVC's own files, by name; a file that cannot be read is for DVC to report."""
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"], encoding="utf-8")
    except (ConfigError, UnicodeDecodeError):
        return
    for section in config.sections():
        kind, _, name = section.strip("'").partition(" ")
        if kind == "remote":
            yield name.strip('"'), config[section]
