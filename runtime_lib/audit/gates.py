"""Comparisons of a model's quality: with a bound, or with that of an earlier model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["PROMOTES", "bounds", "is_quality", "is_relative", "switches"]

_METRICS = frozenset(
    {
        "accuracy",
        "acc",
        "auc",
        "roc",
        "auroc",
        "f1",
        "fbeta",
        "precision",
        "recall",
        "rmse",
        "mae",
        "mse",
        "mape",
    }
    | {
        "loss",
        "r2",
        "score",
        "scores",
        "error",
        "perplexity",
        "ppl",
        "bleu",
        "rouge",
        "iou",
        "miou",
        "dice",
        "wer",
    }
    | {
        "cer",
        "ndcg",
        "mrr",
        "silhouette",
        "psnr",
        "ssim",
        "reward",
        "rewards",
        "kappa",
        "logloss",
        "gini",
        "mcc",
    }
    | {
        "smape",
        "fid",
        "metric",
        "metrics",
        "performance",
        "acc1",
        "top1",
        "map50",
        "sensitivity",
        "specificity",
    }
    | {
        "correlation",
        "spearman",
        "pearson",
        "rmsle",
        "quality",
        "accuracies",
        "r2score",
        "auprc",
        "lift",
        "similarity",
    }
)
_NO_METRIC = frozenset(
    {
        "threshold",
        "thresh",
        "weight",
        "weights",
        "fn",
        "func",
        "name",
        "names",
        "num",
        "len",
        "shape",
        "size",
        "column",
    }
    | {
        "columns",
        "count",
        "index",
        "epoch",
        "epochs",
        "step",
        "patience",
        "dtype",
        "type",
        "beta",
        "ndim",
        "dim",
    }
)
# A score may be one of a customer or of an alarm: then other words stand beside it than these.
_WEAK = frozenset({"score", "scores", "error", "quality", "similarity", "performance", "lift", "correlation"})
_WEAK |= {"reward", "rewards", "metric", "metrics", "precision", "recall", "sensitivity"}
_BESIDE = frozenset(
    {"load", "test", "val", "valid", "validation", "train", "training", "model", "cv", "mean", "avg", "eval"}
)
_BESIDE |= {
    "evaluation",
    "new",
    "trained",
    "self",
    "final",
    "best",
    "current",
    "result",
    "results",
    "x",
    "y",
    "get",
}
_BESIDE |= {
    "average",
    "macro",
    "micro",
    "weighted",
    "holdout",
    "clf",
    "classifier",
    "regressor",
    "pipeline",
    "df",
}
_BESIDE |= {
    "estimator",
    "primary",
    "key",
    "args",
    "config",
    "m",
    "data",
    "s",
    "overall",
    "total",
    "dev",
    "out",
    "of",
}
_BOUNDS = re.compile(
    r"thresh|min|max|target|limit|require|expect|baseline|tolerance|bound|cutoff|goal|accept|floor|criteri|desired",
    re.I,
)
_NEW = frozenset({"new", "candidate", "challenger", "trained", "latest", "retrained", "this", "updated"})
_OLD = frozenset(
    {"old", "prod", "production", "champion", "previous", "prev", "existing", "deployed", "incumbent"}
)
_OLD |= {
    "baseline",
    "reference",
    "registered",
    "current",
    "active",
    "last",
    "benchmark",
    "live",
    "staging",
    "saved",
}
# These say by themselves that models are compared.
_CHALLENGERS = frozenset({"challenger", "candidate"})
_CHAMPIONS = frozenset({"champion", "incumbent", "production", "prod", "baseline", "reference", "current"})
_LOOPS = re.compile(
    r"epoch|val_loss|best_(?:val|loss|acc|score|metric|f1|auc|miou|map|dice|epoch|test|eval|valid)", re.I
)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_CALLS = {"assertGreater": ">", "assertGreaterEqual": ">=", "assertLess": "<", "assertLessEqual": "<="}
_SIZES = re.compile(r"[<>]|assert(?:Greater|Less)")
# What a gate lets through.
PROMOTES = re.compile(
    r"register|promot|deploy|transition|cancel|abort|push|upload|set_registered_model_alias|publish|rollout|release|copy|replace"
    r"|set_tag|update_endpoint|save_model|\.put",
    re.IGNORECASE,
)


def is_quality(text: str) -> bool:
    """Whether a source compares a metric with a bound that means something: "accuracy > 0.8"."""
    return any(True for _ in bounds(text))


def bounds(text: str) -> Iterator[str]:
    """The bounds that a source compares metrics with, as written."""
    for left, right in _comparisons(text):
        for metric, bound in ((left, right), (right, left)):
            if _is_metric(metric) and _is_bound(bound, metric):
                yield bound


def switches(text: str) -> Iterator[str]:
    """Names that have to hold beside a comparison: `strict` of "strict and new_auc < old_auc"."""
    tree = _parsed(text)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            yield from (ast.unparse(one) for one in node.values if isinstance(one, ast.Name | ast.Attribute))


def is_relative(text: str) -> bool:
    """Whether a source compares a new model with an earlier one: "new_auc > champion_auc"."""
    for left, right in _comparisons(text):
        for new, old in ((left, right), (right, left)):
            if _is_number(new) or _is_number(old):
                continue
            ours, theirs = _words(new), _words(old)
            if ours & _CHALLENGERS and theirs & _CHAMPIONS:
                return True
            about = (ours | theirs) & (_METRICS | {"model"})
            if about and theirs & _OLD and not (theirs & _NEW and not ours & _OLD) and _differ(ours, theirs):
                return True
            if (
                ours & _NEW
                and "best" in theirs
                and "model" in ours | theirs
                and not _LOOPS.search(f"{new} {old}")
            ):
                return True
    return False


def _differ(ours: set[str], theirs: set[str]) -> bool:
    """The new one says so, or is a metric by its name alone: "accuracy >= baseline_accuracy"."""
    if theirs & {"last", "saved", "active", "live", "current", "reference"} == theirs & _OLD:
        return bool(ours & (_NEW - theirs))
    return (
        bool(ours & _NEW)
        or (bool(ours & _METRICS) and not ours & (_OLD - {"current"}))
        or "challenger" in ours
    )


@lru_cache(maxsize=4096)
def _comparisons(text: str) -> tuple[tuple[str, str], ...]:
    """(left, right) of the comparisons by size in a source that may be cut."""
    if not _SIZES.search(text):
        return ()
    tree = _parsed(text)
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for n, operator in enumerate(node.ops):
                if isinstance(operator, _ORDER):
                    found.append((ast.unparse(sides[n]), ast.unparse(sides[n + 1])))
        elif isinstance(node, ast.Call) and len(node.args) >= 2:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if name in _CALLS:
                found.append((ast.unparse(node.args[0]), ast.unparse(node.args[1])))
    return tuple(found)


def _parsed(text: str) -> ast.AST | None:
    text = text.strip()
    for end in ("", ")", "]", '"', "'"):
        for start in ("", "x("):
            try:
                return ast.parse(f"{start}{text}{end}{')' if start else ''}")
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return None


def _words(text: str) -> set[str]:
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", text)
    return {one for one in re.split(r"[^a-z0-9]+", apart.lower()) if one}


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?[\d.]+(?:e-?\d+)?", text))


def _is_metric(text: str) -> bool:
    found = _words(text)
    about = found & _METRICS
    if not about or found & _NO_METRIC or _is_number(text):
        return False
    return bool(about - _WEAK) or found <= _WEAK | _BESIDE


def _is_bound(text: str, metric: str) -> bool:
    if _is_number(text):
        # `loss > 0` and `accuracy <= 1` hold for any model.
        return float(text) not in (0.0, 1.0, -1.0, 100.0)
    return bool(_BOUNDS.search(text)) and not _is_extreme(text)


def _is_extreme(text: str) -> bool:
    """`min_loss` and `best_score` are what a search has seen so far; `max(scores)` is none of a bound."""
    return bool(
        _LOOPS.search(text)
        or re.match(r"(?:min|max)_(?:loss|val|error)\b", text)
        or ("(" in text and "get" not in text)
    )
