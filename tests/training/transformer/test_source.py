"""Where a transformer may be from: a folder, or the hub at a commit; and the refusals of all else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from runtime_lib.data.inputs import Pretrained, inputs_of, pretrained_of
from runtime_lib.errors import ModelError, SettingsError
from runtime_lib.settings import Settings, load
from runtime_lib.training.transformer.network import NAMES
from runtime_lib.training.transformer.source import find_source
from tests.support.projects import free_port
from tests.support.small_bert import write_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"hub": "some/bert", "revision": COMMIT}


def declared(transformer, text=("name",)):
    return {"inputs": {"text": list(text), "transformer": transformer}}


def test_the_declaration_says_where_it_is_from():
    assert inputs_of(declared(HUB)) == {"name": "text"}
    assert pretrained_of({"inputs": {"text": ["name"]}}) is None
    assert pretrained_of(declared({"folder": "bert"})) == Pretrained(folder="bert")
    assert str(pretrained_of(declared({**HUB, "tokens": 64}))) == f"some/bert@{COMMIT}"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("minilm", "'minilm' is none (Expected `object`, got `str`). Write `{folder: models/minilm}`"),
        ({}, "{} must name either a folder or a hub model, not both"),
        ({"folder": "bert", **HUB}, "must name either a folder or a hub model, not both"),
        ({"folder": "bert", "revision": COMMIT}, "revision is for a hub model; leave it out"),
        ({"hub": "some/bert"}, "revision '' of 'some/bert' is no commit of 40 hex digits"),
        ({"hub": "some/bert", "revision": "main"}, "revision 'main' of 'some/bert' is no commit"),
        ({"folder": "bert", "token": 9}, "unknown option 'token'. Do you mean 'tokens'?"),
        (
            {"folder": "bert", "pooling": "cls"},
            "unknown option 'pooling'. Known: folder, hub, revision, tokens",
        ),
        ({"folder": "bert", "tokens": 2}, "'tokens': 2} is none (Expected `int` >= 3"),
        ({"folder": 7}, "Expected `str`, got `int`"),
    ],
)
def test_a_wrong_declaration_is_refused_by_value(written, message):
    with pytest.raises(SettingsError, match=r"params\.yaml, inputs\.transformer: ") as told:
        pretrained_of(declared(written))
    assert message in str(told.value)


def test_a_transformer_with_nothing_to_read_is_refused():
    with pytest.raises(SettingsError, match=r"names 'bert', and inputs\.text no column that it could read"):
        pretrained_of(declared({"folder": "bert"}, text=()))


def project(root: Path, transformer: str) -> Settings:
    (root / "mlops.toml").write_text('[project]\nname = "demo"\npackage = "demo"\n')
    (root / "params.yaml").write_text(f"inputs: {{text: [name], transformer: {transformer}}}\n")
    return load(root, environ={})


def test_a_folder_is_found_below_the_project_and_planned_for_without_its_weights(tmp_path):
    settings = project(tmp_path, "{folder: bert, tokens: 16}")
    write_bert(tmp_path / "bert", ["red heart"])
    found = find_source(settings)
    assert (found.name, found.size, found.tokens) == ("bert", 64, 16)
    assert found.plan.predict_rows == 32
    assert found.open().embed(["red heart"]).shape == (1, 64)
    more = find_source(project(tmp_path, f"{{folder: {tmp_path / 'bert'}}}"))
    assert more.tokens == 48
    assert more.plan.memory_bytes > found.plan.memory_bytes


def test_a_folder_without_what_is_read_is_refused(tmp_path):
    settings = project(tmp_path, "{folder: bert}")
    with pytest.raises(SettingsError, match=r"there is no folder .*bert\."):
        find_source(settings)
    folder = write_bert(tmp_path / "bert", ["red heart"])
    for name in NAMES:
        (folder / name).rename(folder / "gone")
        with pytest.raises(ModelError, match=f"{name} is missing. A transformer's folder holds"):
            find_source(settings)
        (folder / "gone").rename(folder / name)
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin is a pickle.*not read. Take .* safetensors"):
        find_source(settings)
    (folder / "pytorch_model.bin").rename(folder / "model-00001-of-00002.safetensors")
    with pytest.raises(ModelError, match=r"model-00001-of-00002.safetensors is not read: .*one file"):
        find_source(settings)
    weights.write_bytes(b"\x80\x04 a pickle by another name")
    with pytest.raises(ModelError, match=r"model\.safetensors is no safetensors file"):
        find_source(settings)


def test_more_tokens_than_it_takes_are_refused(tmp_path):
    write_bert(tmp_path / "bert", ["red heart"])
    with pytest.raises(SettingsError, match="tokens = 49, and 'bert' takes 48"):
        find_source(project(tmp_path, "{folder: bert, tokens: 49}"))


class Hub(SimpleHTTPRequestHandler):
    """Files as the hub hands them out, by commit; anything else is not there."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *args) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        start = f"/some/bert/resolve/{COMMIT}/"
        path = Path(self.directory) / self.path.removeprefix(start)
        if not self.path.startswith("/some/"):
            self._refuse("RepoNotFound")
        elif not self.path.startswith(start):
            self._refuse("RevisionNotFound")
        elif not path.is_file():
            self._refuse("EntryNotFound")
        else:
            content = path.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{path.name}-{len(content)}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def hub(tmp_path) -> Iterator[str]:
    folder = write_bert(tmp_path / "hub", ["red heart"])
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


_ASK = """
import json, os, sys, time
from pathlib import Path
time.sleep = lambda seconds: None  # between the five tries of the hub's client
os.environ.update(HF_ENDPOINT=sys.argv[1], HF_HOME=sys.argv[2], HF_HUB_DISABLE_XET="1")
from runtime_lib.data.inputs import Pretrained
from runtime_lib.training.transformer import source
for hub, revision in json.loads(sys.argv[3]):
    try:
        print(sorted(source._from_hub(Pretrained(hub=hub, revision=revision))))
    except Exception as error:
        print(type(error).__name__, error)
"""


def ask(tmp_path: Path, endpoint: str, *names: tuple[str, str]) -> list[str]:
    command = [sys.executable, "-c", _ASK, endpoint, str(tmp_path / "cache"), json.dumps(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_hub_gives_it_once_and_refusals_say_what_to_do(hub, tmp_path):
    other = COMMIT[::-1]
    got, *refused = ask(tmp_path, hub, ("some/bert", COMMIT), ("any/bert", COMMIT), ("some/bert", other))
    assert got == str(sorted(NAMES))
    assert refused[0].startswith(
        f"SettingsError params.yaml, inputs.transformer: the hub has no any/bert@{COMMIT}"
    )
    assert refused[1].startswith(
        f"SettingsError params.yaml, inputs.transformer: the hub has no some/bert@{other}"
    )
    nobody = f"http://127.0.0.1:{free_port()}"
    again, away, wrong = ask(tmp_path, nobody, ("some/bert", COMMIT), ("some/bert", other), ("a b", COMMIT))
    assert again == got  # what is there is not asked for
    assert away.startswith(f"ServiceError The hub does not give some/bert@{other} (")
    assert "copy the files config.json, model.safetensors, tokenizer.json into a folder" in away
    assert wrong.startswith("SettingsError params.yaml, inputs.transformer: hub = 'a b'")


def test_a_model_of_the_hub_without_safetensors_is_refused(hub, tmp_path):
    (tmp_path / "hub" / "model.safetensors").rename(tmp_path / "hub" / "pytorch_model.bin")
    (said,) = ask(tmp_path, hub, ("some/bert", COMMIT))
    assert said.startswith(f"ModelError some/bert@{COMMIT} has no model.safetensors: only safetensors")


def test_without_the_extra_its_name_is_told(tmp_path):
    project(tmp_path, "{folder: bert}")
    code = """
import sys
from pathlib import Path
sys.modules["transformers"] = None
from runtime_lib.settings import load
from runtime_lib.training.transformer.source import find_source
try:
    find_source(load(Path(sys.argv[1]), environ={}))
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "'transformers' is not installed. It comes with the extra 'text'" in done.stdout
