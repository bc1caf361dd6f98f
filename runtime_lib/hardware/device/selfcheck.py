"""Does a device compute right? A small example on the device, compared with the same one in numpy.

GPUs have returned wrong numbers without an error: linear layers without a bias (pytorch #180776, in half
precision) and with one (#188438, on virtual Macs), views that are not contiguous. So a device proves itself
before it is used, once in a process: about 0.1 s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

__all__ = ["check"]

# Unit roundoff of float32: 2^-p for p bits of significand (IEEE 754).
_ROUNDOFF = 2.0**-24
# GPUs may multiply float32 as TF32, of 11 bits (MLX does on recent ones unless told otherwise).
_TF32 = 2.0**-11
# What torch.testing.assert_close adds.
_ABSOLUTE = 1e-5


class _Case(NamedTuple):
    """What to compute, what it must give, and by how much it may differ."""

    name: str
    arguments: tuple[Any, ...]
    expected: Any
    tolerance: Any


@cache
def check(framework: str, device: str) -> tuple[str, ...]:
    """Compute the example on a device and compare.

    Args:
        framework: `mlx` or `torch`. device: its name there, for instance `gpu`, `mps`, `cpu`.

    Returns:
        What came out wrong, in words; empty if all is right.

    Raises:
        Exception: whatever the framework raises where it cannot compute at all.
    """
    compute = _on_mlx(device) if framework == "mlx" else _on_torch(device)
    found = (_mismatch(case, compute) for case in _cases())
    return tuple(words for words in found if words)


def _cases() -> list[_Case]:
    """The examples. All inputs are small multiples of powers of two, so that they, their products and
    the sums of these are exact in float32 (and in TF32) in whatever order they are added."""
    import numpy as np

    draw = np.random.default_rng(20).integers

    def eighths(*shape: int) -> Any:
        return draw(-8, 9, shape) / 8

    cases = []
    # The shapes are those of the two reports named above.
    for name, x, w, b in (
        ("linear", eighths(6, 6, 634), eighths(634, 634) / 16, None),
        ("linear with bias", eighths(80, 1, 2), eighths(192, 2), eighths(192)),
    ):
        exact = x @ w.T + (0 if b is None else b)
        size = np.abs(x) @ np.abs(w).T + (0 if b is None else np.abs(b))
        # A dot product's error is bounded by roundoff · Σ|x·w| times a factor that grows with its length
        # (Higham 2002, section 3.1); sums kept in float32 and rounded once stay below four.
        cases.append(_Case(name, (x, w, b), exact, _ABSOLUTE + 4 * _ROUNDOFF * size))
    view, w = eighths(40, 64).T, eighths(24, 40)
    cases.append(_Case("linear on a view", (view, w, None), view @ w.T, _ABSOLUTE))
    long = eighths(4099, 3)
    cases.append(_Case("sum over rows", (long,), long.sum(axis=0), _ABSOLUTE))
    return [*cases, *_training(eighths(20, 64), eighths(5, 20), draw(0, 5, 64))]


def _training(view: Any, w: Any, label: Any) -> list[_Case]:
    """Softmax, its cross-entropy and one step down its gradient, by the formulas of the textbook."""
    import numpy as np

    x = view.T  # not contiguous
    logits = x @ w.T
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(label)), label]).mean()
    error = p - np.eye(len(w))[label]
    stepped = w - 0.5 * error.T @ x / len(label)
    return [
        _Case("softmax", (logits,), p, _ABSOLUTE),
        _Case("cross-entropy", (logits, label), loss, _ABSOLUTE * max(1.0, abs(loss))),
        _Case(
            "gradient step",
            (x, w, label),
            stepped,
            # The gradient multiplies numbers that are not exact any more.
            _ABSOLUTE + 4 * _TF32 * 0.5 * np.abs(error).T @ np.abs(x) / len(label),
        ),
    ]


def _mismatch(case: _Case, compute: Callable[[_Case], list[Any]]) -> str | None:
    """Compute a case and compare each of its results with what it must give."""
    import numpy as np

    for result in compute(case):
        if result.shape != np.shape(case.expected):
            return f"{case.name} has shape {result.shape}, not {np.shape(case.expected)}"
        if not np.isfinite(result).all():
            return f"{case.name} has values that are not finite"
        off = np.abs(result - case.expected)
        if (wrong := off > case.tolerance).any():
            return f"{case.name} is off by up to {off.max():.3g} in {wrong.sum()} of {off.size} values"
    return None


def _on_torch(device: str) -> Callable[[_Case], list[Any]]:
    import numpy as np
    import torch
    from torch.nn import functional as F

    def put(values: Any) -> Any:
        """On the device, with the strides it has here: a view stays a view."""
        kind = torch.long if values.dtype.kind == "i" else torch.float32
        view = not values.flags.c_contiguous
        placed = torch.from_numpy(np.ascontiguousarray(values.T if view else values)).to(kind).to(device)
        return placed.T if view else placed

    def compute(case: _Case) -> list[Any]:
        a: list[Any] = [None if value is None else put(value) for value in case.arguments]
        match case.name:
            case "sum over rows":
                results = [a[0].sum(dim=0)]
            case "softmax":
                results = [a[0].softmax(dim=1)]
            case "cross-entropy":
                results = [F.cross_entropy(a[0], a[1])]
            case "gradient step":
                w = a[1].requires_grad_()
                F.cross_entropy(F.linear(a[0], w), a[2]).backward()  # type: ignore[no-untyped-call]
                results = [(w - 0.5 * w.grad).detach()]
            case _:  # twice: the reported defect shows in the second call
                results = [F.linear(*a).clone(), F.linear(*a).clone()]
        return [result.cpu().numpy().astype(np.float64) for result in results]

    return compute


def _on_mlx(device: str) -> Callable[[_Case], list[Any]]:
    import mlx.core as mx
    import mlx.nn as nn
    import numpy as np

    def put(values: Any) -> Any:
        kind = mx.int32 if values.dtype.kind == "i" else mx.float32
        view = not values.flags.c_contiguous
        placed = mx.array(np.ascontiguousarray(values.T if view else values).astype(np.float32)).astype(kind)
        return placed.T if view else placed

    def linear(x: Any, w: Any, b: Any) -> Any:
        return x @ w.T if b is None else mx.addmm(b, x, w.T)

    def loss(w: Any, x: Any, label: Any) -> Any:
        return nn.losses.cross_entropy(x @ w.T, label, reduction="mean")

    def compute(case: _Case) -> list[Any]:
        with mx.stream(getattr(mx, device)):
            a: list[Any] = [None if value is None else put(value) for value in case.arguments]
            match case.name:
                case "sum over rows":
                    results = [a[0].sum(axis=0)]
                case "softmax":
                    results = [mx.softmax(a[0], axis=1)]
                case "cross-entropy":
                    results = [nn.losses.cross_entropy(a[0], a[1], reduction="mean")]
                case "gradient step":
                    results = [a[1] - 0.5 * mx.grad(loss)(a[1], a[0], a[2])]
                case _:
                    results = [linear(*a), linear(*a)]
            return [np.array(result).astype(np.float64) for result in results]

    return compute
