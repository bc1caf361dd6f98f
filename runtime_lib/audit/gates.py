"""Comparisons of a model's quality: with a bound, or with that of an earlier model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

__all__ = [
    "PROMOTES",
    "bounds",
    "is_bare",
    "is_close",
    "is_quality",
    "is_relative",
    "judges_both",
    "switches",
]


def _of(words: str) -> frozenset[str]:
    return frozenset(words.split())


_METRICS = _of(
    "acc acc1 accuracies accuracy auc auprc auroc bleu cer correlation dice error f1 fbeta fid gini "
    "iou kappa lift logloss loss mae map50 mape mcc metric metrics miou mrr mse ndcg pearson "
    "performance perplexity ppl precision psnr quality r2 r2score recall reward rewards rmse rmsle "
    "roc rouge score scores sensitivity silhouette similarity smape spearman specificity ssim top1 "
    "wer"
)
_NO_METRIC = _of(
    "beta column columns count dim dtype epoch epochs fn func index len name names ndim num patience "
    "shape size step thresh threshold type weight weights"
)
# A score may be one of a customer or of an alarm: then other words stand beside it than these.
_WEAK = _of(
    "correlation error lift metric metrics performance precision quality recall reward rewards score "
    "scores sensitivity similarity"
)
_BESIDE = _of(
    "args average avg best classifier clf config current cv data dev df estimator eval evaluation "
    "final get holdout key load m macro mean micro model new of out overall pipeline primary "
    "regressor result results s self test total train trained training val valid validation weighted "
    "x y"
)
_BOUNDS = re.compile(
    r"thresh|min|max|target|limit|require|expect|baseline|tolerance|bound|cutoff|goal|accept|floor|criteri|desired",
    re.I,
)
_NEW = _of("candidate challenger latest new retrained this trained updated")
_OLD = _of(
    "active baseline benchmark champion current deployed existing incumbent last live old prev "
    "previous prod production reference registered saved staging"
)
_MARGIN = _of("delta eps epsilon gain improvement margin min minimum threshold tolerance")
# These say by themselves that models are compared.
_CHALLENGERS = _of("candidate chall challenger")
_CHAMPIONS = _of("baseline champ champion current incumbent prod production reference")
_LOOPS = re.compile(
    r"epoch|val_loss|best_(?:val|loss|acc|score|metric|f1|auc|miou|map|dice|epoch|test|eval|valid)", re.I
)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_CALLS = {"assertGreater": ">", "assertGreaterEqual": ">=", "assertLess": "<", "assertLessEqual": "<="}
_SIZES = re.compile(r"[<>]|assert(?:Greater|Less)")
_NEAR = re.compile(r"isclose|allclose|assertAlmostEqual|assert_almost_equal")
# What a gate lets through.
PROMOTES = re.compile(
    r"^shutil\.(?:copy|move)|(?:^|\.)\w*(?:register|promot|deploy|transition_|cancel|abort|push_|upload|publish|rollout"
    r"|release|set_registered_model_alias|set_tag|update_endpoint|save_model|copy_model|copy_artifact)\w*$",
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


def is_bare(text: str) -> bool:
    """Whether a source compares "new > old + margin" without a word of what that is."""
    pairs = [(_words(left) - _MARGIN, _words(right) - _MARGIN) for left, right in _comparisons(text)]
    return any(a and b and ((a <= _NEW and b <= _OLD) or (a <= _OLD and b <= _NEW)) for a, b in pairs)


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


def is_close(text: str) -> bool:
    """Whether a source asks that new answers are near earlier ones: `isclose(previous, current)`."""
    tree = _parsed(text) if _NEAR.search(text) else None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and len(node.args) >= 2 and _NEAR.search(ast.unparse(node.func)):
            sides = [_words(ast.unparse(one)) for one in node.args[:2]]
            if any(a & (_OLD - {"current"}) and b & (_NEW | {"current"}) for a, b in (sides, sides[::-1])):
                return True
    return False


def judges_both(parameters: Iterable[str]) -> bool:
    """Whether a function is given figures of the new model and of the earlier one."""
    words = [_words(one) for one in parameters]
    return any(one & _CHALLENGERS for one in words) and any(one & _CHAMPIONS for one in words)


def _differ(ours: set[str], theirs: set[str]) -> bool:
    """The new one says so, or is a metric by its name alone: "accuracy >= baseline_accuracy"."""
    if theirs == {"current"}:
        return bool(ours & _METRICS)
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
