"""From tables to structs, at any depth: what is unknown, missing or of the wrong kind is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from runtime_lib.errors import SettingsError
from runtime_lib.settings.layers import Key, Layers, dotted, unknown

__all__ = ["build"]

T = TypeVar("T", bound=msgspec.Struct)

# msgspec's words for kinds, and ours.
_KINDS = {
    "`float | null`": "a number",
    "`float`": "a number",
    "`int`": "a whole number",
    "`str`": "text",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "a table",
}


def build(kind: type[T], layers: Layers, **given: Any) -> T:
    """Make a `kind` of what was set.

    A field that is a struct is a table; one of type `dict[str, X]` is a table of `X` by names that the
    project chooses.

    Args:
        kind: the struct whose fields are the outermost tables.
        given: fields of `kind` that nobody sets.

    Raises:
        SettingsError: a key is unknown or missing, or its value is of the wrong kind; names key, value and
            the place where it was set.
    """
    built: T = _Builder(layers).struct(kind, layers.merged(), (), given)
    return built


class _Builder:
    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def struct(self, kind: type, value: Any, at: Key, given: Mapping[str, Any]) -> Any:
        content = self._table(value, at)
        fields = {f.name: f for f in msgspec.structs.fields(kind) if f.name not in given}
        for name, inner in content.items():
            if name not in fields:
                self._refuse_unknown((*at, name), inner, [dotted((*at, each)) for each in fields])
        for name, field in fields.items():
            if field.required and name not in content:
                what = "table" if _struct(field.type) else "key"
                raise SettingsError(
                    f"The {what} '{dotted((*at, name))}' is missing: write it into {self._layers.file}."
                )
        return kind(**given, **{k: self._value(fields[k].type, v, (*at, k)) for k, v in content.items()})

    def _value(self, kind: Any, value: Any, at: Key) -> Any:
        if struct := _struct(kind):
            return self.struct(struct, value, at, {})
        if get_origin(kind) is dict:
            _, each = get_args(kind)
            return {name: self._value(each, v, (*at, name)) for name, v in self._table(value, at).items()}
        try:
            return msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError as error:
            if isinstance(value, Mapping) and value:  # a key below one that is no table
                [first, *_] = value
                self._refuse_unknown((*at, first), value[first], [dotted(at)])
            raise SettingsError(
                f"{dotted(at)} = {value!r}: {_wrong(kind, error)}. Set in {self._layers.place(at)}."
            ) from error

    def _table(self, value: Any, at: Key) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise SettingsError(
                f"[{dotted(at)}] must be a table, not {value!r}. Set in {self._layers.place(at)}."
            )
        return value

    def _refuse_unknown(self, at: Key, value: Any, known: list[str]) -> None:
        what = "table" if len(at) == 1 or isinstance(value, Mapping) else "key"
        raise SettingsError(unknown(what, dotted(at), known, self._layers.place(at)))


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that `kind` is, or is when it is set at all (`X | None`)."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    parts = get_args(kind) if get_origin(kind) in (Annotated, Union, UnionType) else ()
    return next(filter(None, map(_struct, parts)), None)


def _wrong(kind: Any, error: msgspec.ValidationError) -> str:
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"choose one of {', '.join(map(str, get_args(kind)))}"
    expected = str(error).partition(" - at")[0]
    for theirs, ours in _KINDS.items():
        expected = expected.replace(theirs, ours)
    return expected
