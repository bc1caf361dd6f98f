"""What is refused of `[monitoring.alerts.NAME]`: secrets in a file, names that no variable can spell, keys
that do not fit the kind. No message repeats a secret, so the first two are looked for before anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime_lib.errors import SettingsError
from runtime_lib.settings.channel import KEYS, SECRETS, Channel, place_of, secret_keys
from runtime_lib.settings.layers import Layer, Layers, dotted

__all__ = ["check_channels", "check_layers", "variable"]

_TABLE = ("monitoring", "alerts")
_NAME = re.compile(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)*")
_MAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_COMMON = {"kind", "severity", "repeat", "tries", "pause", "timeout", "deadline"}


def variable(name: str, key: str) -> str:
    """The variable of a channel's key: `on-call`, `url` → `MLOPS_MONITORING__ALERTS__ON_CALL__URL`."""
    return "__".join(("MLOPS_MONITORING", "ALERTS", _spelt(name), key.upper()))


def check_layers(layers: Layers) -> None:
    """Refuse what could not be shown if it were refused later: secrets in a file, values in a table's place.

    Secrets of a channel that this environment does not have are left out: the variables of one machine may
    serve several environments.

    Raises:
        SettingsError: names the key, where it is written and the variable that belongs in its place.
    """
    *files, environ = layers.layers
    tables = [(layer, name, table) for layer in files for name, table in _tables(layer)]
    kinds = {
        name: table["kind"] for layer in layers.layers for name, table in _tables(layer) if "kind" in table
    }
    for layer, name, table in tables:
        _check_name(name, layer.source)
        for key in sorted(secret_keys(kinds.get(name)) & set(table)):
            raise SettingsError(
                f"'{_key(name, key)}' is a secret, and {layer.source} is in git. Remove it there and set the "
                f"variable {variable(name, key)}. If anyone else has seen it, make a new one."
            )
    names = {name for _, name, _ in tables}
    _refuse_twice(names, layers.file)
    for name, table in list(_tables(environ)):
        if name not in names and set(table) <= SECRETS:
            del environ.tables["monitoring"]["alerts"][name]


def check_channels(channels: Mapping[str, Channel], webhook: str, layers: Layers) -> None:
    """Refuse channels whose keys do not fit their kind.

    Args:
        webhook: `monitoring.webhook`, which is a channel of the name "webhook".

    Raises:
        SettingsError: names the key and where it was set; never a secret's value.
    """
    if webhook and "webhook" in channels:
        raise SettingsError(
            "monitoring.webhook and [monitoring.alerts.webhook] have the same name: rename the second."
        )
    set_keys = layers.merged().get("monitoring", {}).get("alerts", {})
    for name, channel in channels.items():
        for key, what in _problems(channel, set_keys.get(name, {})):
            place = layers.place((*_TABLE, name, key))
            raise SettingsError(f"'{_key(name, key)}' ({place}) {what}.")


def _problems(channel: Channel, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key that is wrong, and what is wrong with it."""
    keys = KEYS[channel.kind]
    for key in sorted(set(given) - keys.all - _COMMON):
        yield key, f"is no key of the kind '{channel.kind}', which takes {', '.join(sorted(keys.all))}"
    for key in sorted(keys.needed):
        if not getattr(channel, key):
            yield key, f"is missing, and the kind '{channel.kind}' needs it"
    if channel.address:
        try:
            place_of(channel.address)
        except ValueError as error:
            yield "url", str(error)
    if channel.password and not channel.user:
        yield "user", "is missing, and there is a password"
    if channel.password and channel.security == "none":
        yield "security", 'is "none", which would send the password in clear text: use "starttls" or "tls"'
    for key, addresses in (("sender", (channel.sender,)), ("to", channel.to)):
        for address in addresses if channel.kind == "email" else ():
            if not _MAIL.fullmatch(address):
                yield key, f"holds {address!r}, which is no mail address"
    if channel.secret:
        from runtime_lib.signature import key_of

        try:
            key_of(channel.secret)
        except ValueError as error:
            yield "secret", str(error)


def _tables(layer: Layer) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The channels of one source. What is no table is refused without its value: it may be an address."""
    monitoring = layer.tables.get("monitoring", {})
    if not isinstance(monitoring, Mapping):  # refused when the settings are built
        return
    channels = monitoring.get("alerts", {})
    for at, content in ((_TABLE, channels), *(((*_TABLE, name), table) for name, table in _items(channels))):
        if not isinstance(content, Mapping):
            raise SettingsError(
                f"[{dotted(at)}] must be a table: [monitoring.alerts.NAME]. Set in {layer.place(at)}."
            )
    yield from channels.items()


def _items(content: Any) -> list[tuple[str, Any]]:
    return list(content.items()) if isinstance(content, Mapping) else []


def _check_name(name: str, source: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"The channel's name {name!r} ({source}) cannot be spelt in a variable. Use letters and digits, "
            f"with single hyphens or underscores between them."
        )


def _refuse_twice(names: set[str], file: str) -> None:
    known: dict[str, str] = {}
    for name in sorted(names):
        if other := known.get(_spelt(name)):
            raise SettingsError(
                f"The channels '{other}' and '{name}' ({file}) have the same variables, "
                f"MLOPS_MONITORING__ALERTS__{_spelt(name)}__…: rename one."
            )
        known[_spelt(name)] = name


def _spelt(name: str) -> str:
    return name.upper().replace("-", "_")


def _key(name: str, key: str) -> str:
    return dotted((*_TABLE, name, key))
