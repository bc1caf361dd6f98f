"""From a transformer's three files to a network in torch: no code, no pickle, no kind but those here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime_lib.errors import ModelError, require

__all__ = ["CONFIG", "NAMES", "TOKENIZER", "WEIGHTS", "build", "read_config", "read_shapes", "read_tokenizer"]

CONFIG, WEIGHTS, TOKENIZER = NAMES = ("config.json", "model.safetensors", "tokenizer.json")

# Encoders of text, whose class is transformers' own. Others decode, or take more than tokens and a mask.
_KINDS = (
    "albert",
    "bert",
    "camembert",
    "distilbert",
    "electra",
    "modernbert",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
# What a file may not choose: code, kernels and precision.
_OURS = ("auto_map", "attn_implementation", "dtype", "experts_implementation", "model_type", "torch_dtype")
# Heads on top of the encoder: no part of the mean over the tokens.
_UNUSED = ("pooler.",)
# Of BERT's layer norms, in files of before 2020.
_OLD = {".gamma": ".weight", ".beta": ".bias"}


def read_config(content: bytes, where: str) -> Any:
    """Return transformers' config.

    Args:
        where: whose file it is, for the message.

    Raises:
        ModelError: it is damaged, of another kind, or quantised.
        MissingExtraError: transformers is not installed.
    """
    transformers = require("transformers", extra="text")
    try:
        fields = json.loads(content)
        kind = fields["model_type"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: {CONFIG} is no transformer's ({error!r}).") from error
    if kind not in _KINDS:
        raise ModelError(f"{where}: model_type is {kind!r}. Text is read by one of {', '.join(_KINDS)}.")
    if fields.get("quantization_config"):
        raise ModelError(f"{where}: its weights are quantised. Take the model's version in floating point.")
    free = {name: value for name, value in fields.items() if name not in _OURS and not name.startswith("_")}
    try:
        return transformers.AutoConfig.for_model(kind, **free)
    except Exception as error:  # whatever a check of transformers raises, by kind and version
        raise ModelError(f"{where}: {CONFIG} is refused by transformers: {error}") from error


def read_shapes(path: Path, where: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights by name, from the head of a safetensors file.

    Raises:
        ModelError: it is no such file.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, "numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{where}: {WEIGHTS} is no safetensors file ({error}).") from error


def read_tokenizer(content: bytes, config: Any, tokens: int, where: str) -> Any:
    """Return a tokenizer that cuts a text after so many tokens.

    Raises:
        ModelError: the file is damaged, or has more tokens than the network.
    """
    tokenizers = require("tokenizers", extra="text")
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:  # the only type that tokenizers raises
        raise ModelError(f"{where}: {TOKENIZER} cannot be read ({error}).") from error
    if (known := max(tokenizer.get_vocab().values(), default=-1) + 1) > config.vocab_size:
        raise ModelError(
            f"{where}: {TOKENIZER} has {known:,} tokens, the network {config.vocab_size:,}: the files are of "
            f"two models."
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens)
    return tokenizer


def build(config: Any, content: bytes, where: str) -> Any:
    """Return the network on the CPU, in float32 and for inference, with exactly the weights of `content`.

    Raises:
        ModelError: a weight is missing, or of another shape.
    """
    import safetensors.torch
    import torch
    from transformers import AutoModel

    def empty() -> Any:
        return AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)

    try:
        weights = safetensors.torch.load(content)
        with torch.device("meta"):  # a config may ask for any size; this one takes no memory
            wanted = _shapes(empty())
    except Exception as error:  # whatever transformers raises at numbers that do not go together
        raise ModelError(f"{where}: no network can be built of its files: {error}") from error
    renamed = _renamed(weights, wanted)
    for name, shape in wanted.items():
        if name not in renamed:
            raise ModelError(f"{where}: the weight '{name}' is missing in {WEIGHTS}.")
        if (found := tuple(renamed[name].shape)) != shape:
            raise ModelError(f"{where}: the weight '{name}' has shape {found}, {CONFIG} wants {shape}.")
    with torch.random.fork_rng(devices=[]):  # who trains has a seed of their own
        network = empty()
    network.load_state_dict({name: renamed[name] for name in wanted}, strict=False)
    return network.eval().requires_grad_(False)


def _shapes(network: Any) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.startswith(_UNUSED)
    }


def _renamed(weights: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """By the network's own names: a file of a model with a head has them below the encoder's."""
    renamed = {}
    for name, value in weights.items():
        stem, dot, last = name.rpartition(".")
        name = stem + _OLD.get(dot + last, dot + last)
        below = name.partition(".")[2]
        renamed[below if name not in wanted and below in wanted else name] = value
    return renamed
