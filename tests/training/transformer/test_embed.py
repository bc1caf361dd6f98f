"""What a transformer makes of texts: the mean over their tokens, alone and among others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from runtime_lib.errors import ModelError
from runtime_lib.training.transformer.embed import open_stored, open_transformer
from runtime_lib.training.transformer.network import _KINDS, NAMES
from tests.support.small_bert import edit_config, write_bert

TEXTS = ["smiling face", "flag of norway", "grinning cat with smiling eyes", "red heart", "heart suit"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"), TEXTS)


def opened(folder: Path, tokens: int = 32):
    files = {name: (folder / name).read_bytes() for name in NAMES}
    return open_transformer(files, tokens=tokens, device="cpu", name="bert")


def test_it_is_the_mean_of_the_last_layer_over_the_tokens_of_length_one(folder):
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    network = BertModel.from_pretrained(folder).eval()
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXTS[2]).ids
    with torch.inference_mode():
        mean = network(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
    found = opened(folder).embed(TEXTS)
    assert found.dtype == np.float32
    assert found.shape == (5, 64)
    assert np.abs(found[2] - mean / np.linalg.norm(mean)).max() < 1e-6
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)


def test_a_text_has_the_same_numbers_alone_and_among_others(folder):
    together = opened(folder).embed([*TEXTS, "a long one " * 9, *TEXTS])
    assert np.array_equal(together[:5], together[6:])
    for text, vector in zip(TEXTS, together, strict=False):
        alone = opened(folder, tokens=33).embed([text])[0]  # another one, which keeps nothing of the first
        assert np.abs(alone - vector).max() < 1e-6


def test_missing_and_empty_texts_are_zeros_and_odd_ones_are_read(folder):
    found = opened(folder).embed([None, "", "  \n", "日本 😀", "half \ud83d", "red\0heart"])
    assert not found[:3].any()
    assert np.linalg.norm(found[3:], axis=1) == pytest.approx(1)
    assert opened(folder).embed([]).shape == (0, 64)


def test_what_follows_the_most_tokens_is_not_read(folder):
    reads = opened(folder, tokens=6)
    found = reads.embed(["red heart flag face cat", "red heart flag face heart", "cat heart flag face"])
    assert np.abs(found[0] - found[1]).max() < 1e-6
    assert np.abs(found[0] - found[2]).max() > 1e-3
    assert np.isfinite(reads.embed(["heart " * 100_000])).all()


def test_it_is_loaded_once_and_keeps_what_comes_again(folder, monkeypatch):
    first = opened(folder)
    assert opened(folder) is first
    assert opened(folder, tokens=7) is not first
    vectors = first.embed(TEXTS)
    monkeypatch.setattr(first, "_computed", None)  # is not asked any more
    assert np.array_equal(first.embed(TEXTS[::-1]), vectors[::-1])


def test_a_long_reading_is_told_and_what_is_kept_has_an_end(folder, capsys, monkeypatch):
    monkeypatch.setattr("runtime_lib.training.transformer.embed._KEPT_BYTES", 4 * 64 * 3)
    reads, texts = opened(folder, tokens=5), [f"heart {number}" for number in range(1_001)]
    vectors = reads.embed(texts)
    assert "read text: 1001 done" in capsys.readouterr().err
    assert len(reads._kept._vectors) == 3
    assert np.abs(reads.embed(texts[:9]) - vectors[:9]).max() < 1e-6
    assert capsys.readouterr().err == ""


def test_what_is_stored_gives_the_same_numbers_and_holds_no_head(folder, tmp_path):
    ours = opened(folder)
    ours.save(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(files) == ["text.config.json", "text.model.safetensors", "text.tokenizer.json"]
    again = open_stored(files, tokens=32, device="cpu", name="bert")
    assert again is not ours
    assert np.array_equal(again.embed(TEXTS), ours.embed(TEXTS))


@pytest.mark.parametrize("kind", sorted({*_KINDS} - {"bert"}))
def test_other_encoders_read_too(tmp_path, kind):
    options = {"dim": 64, "n_layers": 2, "n_heads": 4} if kind == "distilbert" else {}
    found = opened(write_bert(tmp_path, TEXTS, kind=kind, **options), tokens=24).embed(TEXTS)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_weights_below_a_head_and_by_their_old_names_are_found(folder, tmp_path):
    import safetensors.torch

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    renamed = {
        "bert." + name.replace(new, before): value.half()
        for name, value in weights.items()
        for new, before in [next((pair for pair in old.items() if pair[0] in name), ("", ""))]
        if not name.startswith("pooler.")
    }
    safetensors.torch.save_file(renamed, tmp_path / "model.safetensors")
    assert np.abs(opened(tmp_path).embed(TEXTS) - opened(folder).embed(TEXTS)).max() < 1e-3


def without(folder: Path, name: str) -> None:
    import safetensors.torch

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights[name]
    safetensors.torch.save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: edit_config(f, model_type="gpt2"), "model_type is 'gpt2'. Text is read by one of albert"),
        (lambda f: edit_config(f, hidden_size=4 * 10**8), "shape .* config.json wants"),
        (lambda f: edit_config(f, hidden_size=66), "no network can be built|refused by transformers"),
        (lambda f: edit_config(f, vocab_size=3), "tokens, the network 3: the files are of two models"),
        (lambda f: edit_config(f, quantization_config={"bits": 4}), "its weights are quantised"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json is no transformer's"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04"), "no network can be built"),
        (
            lambda f: without(f, "encoder.layer.1.output.dense.bias"),
            "weight 'encoder.layer.1.output.dense.bias' is missing",
        ),
    ],
)
def test_files_that_do_not_go_together_are_refused(folder, tmp_path, damage, message):
    for name in NAMES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    damage(tmp_path)
    with pytest.raises(ModelError, match=message):
        opened(tmp_path)


def test_more_tokens_than_it_has_places_for_are_refused(folder):
    with pytest.raises(ModelError, match=r"cannot read 49 tokens .*lower inputs.transformer.tokens"):
        opened(folder, tokens=49)


def test_a_config_chooses_no_code_and_no_kernel(folder, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    edit_config(
        tmp_path,
        auto_map={"AutoModel": "evil--evil.Model", "AutoConfig": "evil--evil.Config"},
        attn_implementation="evil/kernel",
        _attn_implementation_internal="evil/kernel",
        is_decoder=False,
    )
    found = opened(tmp_path, tokens=31)
    assert np.abs(found.embed(TEXTS) - opened(folder).embed(TEXTS)).max() < 1e-6
    found.save(tmp_path)
    assert "evil" not in json.dumps(json.loads((tmp_path / "text.config.json").read_text()))
