"""Files that were changed are refused, and nothing in them is ever run; a missing library names its extra."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from zipfile import ZipFile

import pytest
import skops.io

from runtime_lib.errors import ModelError
from runtime_lib.training.model import Model
from runtime_lib.training.trainers.skops import TRUSTED
from tests.training.trainers.conftest import fitted, without

FILES = {"lightgbm": "model.txt", "xgboost": "model.ubj", "linear": "model.skops", "trees": "model.skops"}


class Runs:
    """What a pickle runs when it is read."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def crafted(command: str) -> bytes:
    """A skops file whose "loss" is made by calling os.system: what skops's list of types is for."""
    plain = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "is_json": True}
    args = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    nothing = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}
    keys = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    schema = {
        "__class__": "system",
        "__module__": "os",
        "__loader__": "LossNode",
        "__reduce__": {"args": {**args, "content": [{**plain, "content": json.dumps(command)}]}},
        "content": {**nothing, "key_types": keys},
        "protocol": json.loads(ZipFile(io.BytesIO(skops.io.dumps(1))).read("schema.json"))["protocol"],
    }
    content = io.BytesIO()
    with ZipFile(content, "w") as file:
        file.writestr("schema.json", json.dumps(schema))
    return content.getvalue()


def put(folder, name, content, *, digest_too):
    """Change a file, and as someone who can write there all would, its digest."""
    (folder / name).write_bytes(content)
    if digest_too:
        config = json.loads((folder / "config.json").read_text())
        config["files"][name] = hashlib.sha256(content).hexdigest()
        (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(params=list(FILES))
def stored(request, tmp_path):
    folder = tmp_path / "model"
    fitted(request.param, "binary").trial.save(folder)
    return folder, FILES[request.param]


def test_it_is_stored_as_one_file_of_its_own_beside_the_librarys(stored):
    folder, name = stored
    assert sorted(path.name for path in folder.iterdir()) == sorted(["config.json", "profile.json", name])


def test_a_changed_file_is_refused_by_its_digest(stored):
    folder, name = stored
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    put(folder, name, bytes(content), digest_too=False)
    with pytest.raises(ModelError, match=f"{name} is damaged: its sha256 is"):
        Model.load(folder)


@pytest.mark.parametrize("digest_too", [False, True])
def test_a_pickle_in_its_place_is_never_run(stored, tmp_path, digest_too):
    folder, name = stored
    canary = tmp_path / "canary"
    put(folder, name, pickle.dumps(Runs(f"touch {canary}")), digest_too=digest_too)
    with pytest.raises(ModelError):
        Model.load(folder)
    assert not canary.exists()
    pickle.loads((folder / name).read_bytes())
    assert canary.exists()  # it would have


@pytest.mark.parametrize("digest_too", [False, True])
def test_a_skops_file_that_calls_what_it_likes_is_never_run(tmp_path, digest_too):
    folder, canary = tmp_path / "model", tmp_path / "canary"
    fitted("linear", "binary").trial.save(folder)
    put(folder, "model.skops", crafted(f"touch {canary}"), digest_too=digest_too)
    with pytest.raises(ModelError, match=r"os\.system" if digest_too else "damaged"):
        Model.load(folder)
    assert not canary.exists()
    skops.io.loads((folder / "model.skops").read_bytes(), trusted=["os.system", *TRUSTED])
    assert canary.exists()  # with another list it would have


def test_a_file_cut_short_is_refused_also_with_its_digest(stored):
    folder, name = stored
    put(folder, name, (folder / name).read_bytes()[:200], digest_too=True)
    with pytest.raises(ModelError, match=r"cannot (be )?read"):
        Model.load(folder)


def test_a_list_of_trusted_types_in_the_model_changes_nothing(tmp_path):
    """As MLflow's did: #25686."""
    folder, canary = tmp_path / "model", tmp_path / "canary"
    fitted("linear", "binary").trial.save(folder)
    put(folder, "model.skops", crafted(f"touch {canary}"), digest_too=True)
    config = json.loads((folder / "config.json").read_text())
    config["stored"]["trusted"] = config["trusted"] = ["os.system"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        Model.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("which", "package", "extra"),
    [("lightgbm", "lightgbm", "lightgbm"), ("xgboost", "xgboost", "xgboost"), ("linear", "skops", "sklearn")],
)
def test_a_library_that_is_not_installed_names_its_extra(which, package, extra, tmp_path):
    fitted(which, "binary").trial.save(tmp_path / "model")
    made = {
        "lightgbm": "from runtime_lib.training.trainers.lightgbm import LightGBM as made; made({})",
        "xgboost": "from runtime_lib.training.trainers.xgboost import XGBoost as made; made({})",
        "linear": "from runtime_lib.training.trainers.sklearn import Sklearn as made\n"
        "    from sklearn.linear_model import Ridge; made(Ridge())",
    }[which]
    code = f"""{without(package)}
from pathlib import Path
from runtime_lib.errors import MissingExtraError
from runtime_lib.training.model import Model

def make():
    {made}

for what in (make, lambda: Model.load(Path({str(tmp_path / "model")!r}))):
    try:
        what()
    except MissingExtraError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert len(told) == 2
    assert all(f"'{package}' is not installed" in line and f"runtime-lib[{extra}]" in line for line in told)
