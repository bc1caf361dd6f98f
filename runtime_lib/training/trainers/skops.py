"""Estimators as bytes without pickle, and the list of the types that may be in them.

skops rebuilds objects of named types from their state. Most types of scikit-learn, numpy and scipy it trusts
by itself; the ones below it leaves to whoever loads. The list is the library's: one that came with a model
would trust whatever the model holds (MLflow #25686).

A type on the list runs no code that is not scikit-learn's own, but those with C arrays inside (`Tree`,
`TreePredictor`, `KDTree`) read memory where a crafted file tells them to. So bytes come here only after the
digest of config.json has been compared, and a folder is only as good as where it is from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from io import BytesIO
from threading import get_ident
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from runtime_lib.errors import ModelError, require

__all__ = ["TRUSTED", "dumped", "loaded"]

_SCHEMA = "schema.json"
# An object's number, or the name of its file: both are its address.
_ADDRESS = re.compile(r'("__id__": |")(\d{6,})((?:\.\w+")?)')
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the first that an archive can hold

TRUSTED = frozenset(
    {
        # Trees, forests, boosting
        "sklearn.tree._tree.Tree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        # Categories inside HistGradientBoosting; what a partial calls must be on a list itself
        "functools.partial",
        "sklearn.utils.validation.check_array",
        # Linear models and networks
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        # Neighbours
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._kd_tree.KDTree",
        # Probabilities of a classifier without
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        # Pipelines, encoders, several estimators in one, searches
        "builtins.object",
        "numpy.dtype",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.utils._bunch.Bunch",
    }
)


def dumped(estimator: Any) -> bytes:
    """The estimator as bytes.

    Raises:
        ModelError: a part of it is of a type that is not trusted, or that skops cannot store.
    """
    skops = _skops()
    name = type(estimator).__name__
    try:
        content = _repeatable(skops.dumps(estimator))
    except Exception as error:  # of many types, as its state is read by the parts' own code
        raise ModelError(f"{name} cannot be stored without pickle: {error}.") from error
    if unknown := sorted(set(skops.get_untrusted_types(data=content)) - TRUSTED):
        raise ModelError(
            f"{name} has parts that a server would not load: {', '.join(unknown)}. Only types of "
            f"scikit-learn, numpy and scipy are stored. What functions and classes of your own do belongs "
            f"into features()."
        )
    return content


def loaded(content: bytes, *, version: str) -> Any:
    """The estimator in bytes whose digest was checked.

    Args:
        version: of the scikit-learn that made them, for the message.

    Raises:
        ModelError: they hold a type that is not trusted, or cannot be read.
    """
    skops = _skops()
    try:
        return skops.loads(content, trusted=sorted(TRUSTED))
    except skops.exceptions.UntrustedTypesFoundException as error:
        raise ModelError(f"The model has parts that are not trusted: {error}") from error
    except Exception as error:  # of many types: whatever rebuilding an object raises
        raise ModelError(
            f"The model of scikit-learn {version} cannot be read: {error}. Install that version, or train it "
            f"again."
        ) from error


def _skops() -> Any:
    """Import skops, and not torch with it.

    skops lists scikit-learn's estimators by importing all of its packages, of which one imports torch, where
    that is installed: seconds and 150 MB that no estimator needs.
    """
    with _without("torch"):
        return require("skops.io", extra="sklearn")


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Let this thread's imports of a package fail, as if it were not installed; one that is there stays."""
    absent = _Absent(package, get_ident())
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


@dataclass(frozen=True)
class _Absent(MetaPathFinder):
    package: str
    thread: int

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == self.package and get_ident() == self.thread:
            raise ModuleNotFoundError(f"{name} is not looked for here", name=name)


def _repeatable(content: bytes) -> bytes:
    """The same archive for the same estimator, so that a fit that is repeated gives the same model.

    skops calls objects and their files by their addresses in memory, and the archive has the time of writing.
    Here they are counted as they come.
    """
    names: dict[str, str] = {}

    def counted(found: re.Match[str]) -> str:
        return found[1] + names.setdefault(found[2], str(len(names))) + found[3]

    with ZipFile(BytesIO(content)) as old:
        schema = _ADDRESS.sub(counted, old.read(_SCHEMA).decode())
        files = {_ADDRESS.sub(counted, f'"{name}"').strip('"'): old.read(name) for name in old.namelist()}
    files[_SCHEMA] = schema.encode()
    new = BytesIO()
    with ZipFile(new, "w", ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(ZipInfo(name, _NO_TIME), files[name], ZIP_DEFLATED)
    return new.getvalue()
