"""A loaded transformer: texts in, vectors of length 1 out.

The mean of the last layer over the tokens of a text, padding left out, brought to length 1 (Reimers &
Gurevych 2019, "Sentence-BERT", arXiv:1908.10084, section 3, MEAN).
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from runtime_lib.data.columns import Array
from runtime_lib.errors import ModelError
from runtime_lib.progress import counted
from runtime_lib.training.network import pieces
from runtime_lib.training.transformer.network import (
    CONFIG,
    NAMES,
    TOKENIZER,
    WEIGHTS,
    build,
    read_config,
    read_tokenizer,
)

__all__ = ["AT_ONCE", "Transformer", "open_stored", "open_transformer"]

# Texts that are computed at a time, at most.
AT_ONCE = 32
# Texts whose tokens are held at a time; of them those of like length are computed together.
_IN_ORDER = 4_096
# Characters that are looked at for each token: what follows would be cut off, after it had been split.
_CHARACTERS = 16
# Vectors that are kept, for texts that come again: shuffled rows, another model, another request.
_KEPT_BYTES = 64 * 2**20
# More than this are told as they advance.
_MANY = 1_000


def _stored(name: str) -> str:
    """The name of one of its files among those of a model."""
    return f"text.{name}"


class Transformer:
    """Reads text. `size`: of a vector. `tokens`: of a text that are read. `name`: where it is from."""

    def __init__(
        self, network: Any, tokenizer: Any, *, tokens: int, device: str, name: str, at_once: int = AT_ONCE
    ) -> None:
        self._network, self._tokenizer = network, tokenizer
        self.size, self.tokens = int(network.config.hidden_size), tokens
        self.device, self.name, self.at_once = "cpu", name, at_once
        self._try()
        self._network, self.device = network.to(device), device
        self._kept = _Kept(_KEPT_BYTES // (4 * self.size))

    def embed(self, texts: Sequence[str | None] | Array) -> Array:
        """Return `float32` `(n, size)`.

        A missing text, and one without a token of its own (an empty one), is all zeros. What follows the
        first `tokens` tokens is not read. A text has the same vector alone and among others to within 1e-6
        in each number: a batch is padded, and sums are rounded in another order.
        """
        place: dict[str | None, int] = {}
        index = [place.setdefault(text, len(place)) for text in texts]
        vectors = np.zeros((len(place), self.size), dtype=np.float32)
        new: list[tuple[str, int]] = []
        for text, row in place.items():
            if text is not None:
                kept = self._kept.get(text)
                if kept is None:
                    new.append((text, row))
                else:
                    vectors[row] = kept
        if len(new) > _MANY:
            with counted(len(new), "read text") as advance:
                self._read(new, vectors, advance)
        else:
            self._read(new, vectors, lambda by: None)
        for text, row in new:
            self._kept.put(text, vectors[row].copy())
        return vectors[index]

    def save(self, folder: Path) -> None:
        """Write its files: the weights in float32, by the names of transformers' class, without heads."""
        import safetensors.torch

        weights = {name: value.cpu().contiguous() for name, value in self._network.state_dict().items()}
        contents = {
            CONFIG: json.dumps(self._network.config.to_dict(), indent=2, sort_keys=True).encode(),
            WEIGHTS: safetensors.torch.save(weights),
            TOKENIZER: self._tokenizer.to_str().encode(),
        }
        for name, content in contents.items():
            (folder / _stored(name)).write_bytes(content)

    def _read(self, new: Sequence[tuple[str, int]], vectors: Array, advance: Callable[[int], None]) -> None:
        for some in pieces(np.arange(len(new)), _IN_ORDER) if new else []:
            texts = [_readable(new[i][0], self.tokens * _CHARACTERS) for i in some]
            encoded = self._tokenizer.encode_batch(texts)
            by_length = sorted(range(len(some)), key=lambda i: len(encoded[i].ids))
            for part in pieces(np.array(by_length), self.at_once):
                rows = [new[some[i]][1] for i in part]
                vectors[rows] = self._computed([encoded[i] for i in part])
                advance(len(part))

    def _computed(self, encoded: Sequence[Any]) -> Array:
        width = max(len(each.ids) for each in encoded) or 1
        pad = self._network.config.pad_token_id or 0
        ids = np.full((len(encoded), width), pad, dtype=np.int64)
        mask = np.zeros((len(encoded), width), dtype=np.int64)
        for row, each in enumerate(encoded):
            ids[row, : len(each.ids)] = each.ids
            mask[row, : len(each.ids)] = 1
        vectors = self._pooled(ids, mask)
        vectors[[all(each.special_tokens_mask) for each in encoded]] = 0
        return vectors

    def _pooled(self, ids: Array, mask: Array) -> Array:
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            kept = torch.from_numpy(mask).to(self.device)
            inputs = torch.from_numpy(ids).to(self.device)
            found = self._network(input_ids=inputs, attention_mask=kept, return_dict=True)
            weight = kept[:, :, None].to(torch.float32)
            mean = (found.last_hidden_state * weight).sum(1) / weight.sum(1).clamp(min=1)
            vectors: Array = normalize(mean, dim=1).cpu().numpy()
        return vectors

    def _try(self) -> None:
        """Compute one text of the most tokens on the CPU; on a GPU a position too many ends the process."""
        config = self._network.config
        other = 0 if config.pad_token_id else 1  # a padding token has no position in some networks
        ids = np.full((1, self.tokens), other, dtype=np.int64)
        try:
            found = self._pooled(ids, np.ones_like(ids))
        except (AttributeError, IndexError, RuntimeError) as error:
            raise ModelError(
                f"{self.name} cannot read {self.tokens} tokens ({error}): lower inputs.transformer.tokens in "
                f"params.yaml."
            ) from error
        if not np.isfinite(found).all():
            raise ModelError(f"{self.name} gives no finite numbers: its weights are damaged.")


class _Kept:
    """The vectors of the texts that were asked for last, by digest: texts are long."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, Lock()
        self._vectors: OrderedDict[bytes, Array] = OrderedDict()

    def get(self, text: str) -> Array | None:
        key = _digest(text)
        with self._lock:
            if key in self._vectors:
                self._vectors.move_to_end(key)
            return self._vectors.get(key)

    def put(self, text: str, vector: Array) -> None:
        with self._lock:
            self._vectors[_digest(text)] = vector
            if len(self._vectors) > self._most:
                self._vectors.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _readable(text: str, most: int) -> str:
    """Half of a pair of UTF-16, which JSON can hold, is no character."""
    return text[:most].encode(errors="replace").decode()


# A champion and its challenger mostly have the same one.
_open: WeakValueDictionary[tuple[Any, ...], Transformer] = WeakValueDictionary()
_opening = Lock()


def open_transformer(
    files: Mapping[str, bytes], *, tokens: int, device: str, name: str, at_once: int = AT_ONCE
) -> Transformer:
    """Return the transformer of these files, loaded once in a process.

    Args:
        files: by `NAMES`, as they were checked.
        device: of torch. name: where it is from, for messages.

    Raises:
        ModelError: the files are damaged, do not go together, or are of another kind.
        MissingExtraError: transformers is not installed.
    """
    digests = (hashlib.sha256(files[each]).digest() for each in NAMES)
    key = (*digests, tokens, device, at_once)
    with _opening:
        found = _open.get(key)
        if found is None:
            config = read_config(files[CONFIG], name)
            tokenizer = read_tokenizer(files[TOKENIZER], config, tokens, name)
            network = build(config, files[WEIGHTS], name)
            found = _open[key] = Transformer(
                network, tokenizer, tokens=tokens, device=device, name=name, at_once=at_once
            )
        return found


def open_stored(files: Mapping[str, bytes], *, tokens: int, device: str, name: str) -> Transformer:
    """Return the one that `Transformer.save` wrote, see `open_transformer`; `files`: of a model, checked."""
    own = {each: files[_stored(each)] for each in NAMES}
    return open_transformer(own, tokens=tokens, device=device, name=name)
