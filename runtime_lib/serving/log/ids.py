"""Ids by the hundred thousand: to which bucket each belongs, and which of several rows of one id is the last.

The hash is part of the format of compacted days and of labels (`bucket`): a change of it is a new format
there. It is not a secret, so whoever chooses ids can make two hashes equal. It only narrows the search: ids
are always compared themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from runtime_lib.data.columns import Array

__all__ = ["BUCKETS", "buckets", "buckets_for", "hashes", "latest"]

BUCKETS = 256  # a power of two
_BITS = 64 - 8
_ODD, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def hashes(ids: Any) -> Array:
    """A hash of each text of an Arrow array without nulls, `uint64` `(n,)`; the same on every machine."""
    if not len(ids):
        return np.empty(0, np.uint64)
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    data = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    if (lengths == lengths[0]).all():
        return _hashes(data[starts[0] : offsets[-1]].reshape(len(ids), lengths[0]))
    found = np.empty(len(ids), np.uint64)
    order = np.argsort(lengths, kind="stable")
    ends = np.flatnonzero(np.diff(lengths[order])) + 1
    for rows in np.split(order, ends):
        length = int(lengths[rows[0]])
        texts = np.lib.stride_tricks.sliding_window_view(data, length)[starts[rows]] if length else None
        found[rows] = _hashes(np.empty((len(rows), 0), np.uint8) if texts is None else texts)
    return found


def _hashes(texts: Array) -> Array:
    """Of texts of one length, `(n, length)` bytes: each eight bytes are mixed in by a product and a shift."""
    count, length = texts.shape
    padded = np.zeros((count, -(-length // 8) * 8), np.uint8)
    padded[:, :length] = texts
    words = padded.view("<u8")
    found = np.full(count, length, np.uint64)
    for place in range(words.shape[1]):
        found ^= words[:, place]
        found *= _ODD
        found ^= found >> np.uint64(29)
    found *= _OTHER
    found ^= found >> np.uint64(32)
    return found * _ODD


def buckets(of: Array) -> Array:
    """The bucket of each hash, 0 to `BUCKETS` - 1, as `int64`: its highest bits, so that ranges nest."""
    return (of >> np.uint64(_BITS)).astype(np.int64)


def buckets_for(size: float, most: float) -> int:
    """Into how many equal ranges of buckets to cut what has this size: a power of two, of `most` each."""
    parts = 1
    while parts < BUCKETS and size > parts * most:
        parts *= 2
    return parts


def latest(ids: Any, order: Array) -> Array:
    """Which rows are the last of their id, as row numbers sorted by `order`.

    Args:
        ids: an Arrow array of `n` texts.
        order: of each row its place in time, `(n,)`, no two alike.
    """
    import pyarrow as pa

    by_time = np.argsort(order, kind="stable")
    found = hashes(ids)
    ranked = np.sort(found)
    twice = ranked[1:][ranked[1:] == ranked[:-1]]
    if not len(twice):
        return by_time
    suspects = by_time[np.isin(found[by_time], twice)]
    codes = ids.take(pa.array(suspects)).dictionary_encode().indices.to_numpy()
    last = np.zeros(codes.max() + 1, np.int64)
    np.maximum.at(last, codes, np.arange(len(codes)))
    gone = np.ones(len(suspects), bool)
    gone[last] = False
    kept = np.ones(len(ids), bool)
    kept[suspects[gone]] = False
    return by_time[kept[by_time]]
