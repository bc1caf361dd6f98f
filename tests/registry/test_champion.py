import json
import shutil

import pandas as pd
import pytest
from msgspec import structs

from runtime_lib.errors import DataError, ModelError
from runtime_lib.registry.champion import champion, promote
from runtime_lib.registry.register import register
from runtime_lib.tracking.store import connect
from runtime_lib.training.model import digest
from tests.registry.conftest import retrain, train_candidate


def test_the_first_good_model_becomes_champion(project):
    registered = register(project)
    decision = promote(project)
    assert decision.promoted, decision.reasons
    held = champion(project)
    assert (held.version, held.digest, held.run_id) == ("1", registered["digest"], registered["run_id"])
    assert digest(held.folder) == held.digest
    assert held.folder.is_relative_to(project.var / "models")
    report = json.loads((project.reports / "promotion.json").read_text())
    assert report["promoted"] is True
    assert report["figures"]["candidate"]["rows"] == 600


def test_promoting_the_champion_again_changes_nothing(project):
    register(project)
    promote(project)
    decision = promote(project)
    assert decision.promoted
    assert "already the champion" in decision.reasons[0]


def test_a_worse_model_is_refused_and_the_alias_stays(project):
    register(project)
    promote(project)
    good = champion(project)
    train_candidate(project, flip=True)
    worse = register(project)
    assert worse["version"] == "2"
    decision = promote(project)
    assert not decision.promoted
    assert "not better than the naive baseline" in decision.reasons[0]
    assert champion(project) == good
    tags = connect(project).get_model_version("demo", "2").tags
    assert tags["mlops.decision"] == "refused"
    assert "refused" in tags["mlops.reasons"]
    assert json.loads((project.reports / "promotion.json").read_text())["promoted"] is False


def test_a_model_below_the_champion_alone_is_refused(project):
    """Above the baseline, but the champion's candidate is better: judged on the same rows now."""
    train_candidate(project, seed=3)
    register(project)
    assert promote(project).promoted
    weaken(project)
    register(project)
    decision = promote(project)
    assert not decision.promoted
    assert "is better than the naive baseline" in decision.reasons[0]
    assert "is not better than the champion's" in decision.reasons[1]
    assert champion(project).version == "1"


def weaken(project):
    """Train on a table whose `kind` means nothing, so that the model is worse and not hopeless."""
    path = project.root / "data" / "split" / "train.parquet"
    table = pd.read_parquet(path)
    table["kind"] = table["kind"].sample(frac=1, random_state=1).to_numpy()
    table.to_parquet(path)
    retrain(project)


def test_without_a_model_there_is_no_champion(project):
    assert champion(project) is None


def test_changed_files_in_the_store_are_refused(project):
    register(project)
    [stored] = (project.var / "artifacts").rglob("config.json")
    fields = json.loads(stored.read_text())
    stored.write_text(json.dumps({**fields, "threshold": 0.0001}))
    with pytest.raises(ModelError, match="not those that were registered"):
        promote(project)
    connect(project).set_registered_model_alias("demo", "champion", "1")
    with pytest.raises(ModelError, match="not those that were registered"):
        champion(project)


def test_a_damaged_local_copy_is_fetched_anew(project):
    register(project)
    promote(project)
    held = champion(project)
    (held.folder / "config.json").write_text("{}")
    assert digest(champion(project).folder) == held.digest


def test_the_local_copy_serves_while_the_stored_files_are_away(project):
    register(project)
    promote(project)
    held = champion(project)
    shutil.rmtree(project.var / "artifacts")
    assert champion(project) == held


def test_promote_registers_where_the_registry_is_empty(project, new_project):
    """A fresh clone: reports and model came from DVC, the store is new."""
    register(project)
    clone = new_project("clone")
    shutil.copytree(project.reports, clone.reports, dirs_exist_ok=True)
    assert promote(clone).promoted
    assert champion(clone).version == "1"


def test_a_champion_that_lost_its_columns_is_judged_by_its_own_promotion(project):
    """By two figures, without the rows: an equal model is not known to be better, and not much worse."""
    register(project)
    promote(project)
    rename_column(project)
    register(project)
    decision = promote(project)
    assert "cannot be judged on this test table" in decision.reasons[0]
    assert "Column 'x' is missing" in decision.reasons[0]
    assert "figures at its own promotion are of these rows too" in decision.reasons[0]
    assert not decision.promoted
    assert "is not better than the champion's" in decision.reasons[-2]
    low, high = decision.figures["intervals"]["incumbent"]
    assert -0.05 < low < 0 < high < 0.05
    decision = promote(allowing(project, 0.05))
    assert decision.promoted, decision.reasons
    assert champion(project).version == "2"


def test_an_equal_model_is_no_reason_to_change_the_champion(project):
    """On the same rows a tenth of a point is told from chance, and none is not called a gain."""
    register(project)
    promote(project)
    train_candidate(project, seed=2)
    register(project)
    decision = promote(project)
    assert not decision.promoted
    low, high = decision.figures["intervals"]["incumbent"]
    assert high - low < 0.02, "models that answer alike are compared far more closely than either is known"
    assert champion(project).version == "1"
    assert promote(allowing(project, 0.02)).promoted


def test_a_better_model_follows_the_champion(project):
    weaken(project)
    register(project)
    assert promote(project).promoted
    train_candidate(project)
    register(project)
    decision = promote(project)
    assert decision.promoted, decision.reasons
    assert "is better than the champion's" in decision.reasons[-1]
    assert champion(project).version == "2"


def allowing(project, loss):
    return structs.replace(project, registry=structs.replace(project.registry, max_loss_to_incumbent=loss))


def test_a_champion_without_any_figures_is_not_replaced(project):
    register(project)
    connect(project).set_registered_model_alias("demo", "champion", "1")
    rename_column(project)
    register(project)
    decision = promote(project)
    assert not decision.promoted
    assert "of other rows" in decision.reasons[0]
    assert "mlops champion clear --reason" in decision.reasons[-1]


def rename_column(project):
    for path in (project.root / "data" / "split").iterdir():
        pd.read_parquet(path).rename(columns={"x": "distance"}).to_parquet(path)
    retrain(project)


def test_baselines_of_another_table_are_refused(project):
    register(project)
    path = project.root / "data" / "split" / "test.parquet"
    pd.read_parquet(path).head(100).to_parquet(path)
    with pytest.raises(DataError, match="judged 600 rows"):
        promote(project)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "does not exist.*dvc pull"), (b"PAR1", "cannot be read")]
)
def test_a_test_table_that_is_missing_or_torn_is_refused(project, content, said):
    register(project)
    path = project.root / "data" / "split" / "test.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        promote(project)
