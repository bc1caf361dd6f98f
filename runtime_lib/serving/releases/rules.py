"""What a canary must show, and what sends it back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runtime_lib.errors import SettingsError

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """When a canary is worse, and when it is no worse.

    Args:
        confidence: of what is concluded, over all looks at once.
        min_requests: of the canary in each step, before it may go on.
        error_margin: a share. Failing more than the champion by less than this is no hindrance to go on; a
            canary that is shown to fail more at all goes back.
        latency_margin: slower than the champion by less than this part is as fast, for either decision. It is
            rounded up to whole buckets of `figures.BASE`. None: latency is not judged.
        latency_share: the quantile of the champion's latency beyond which both are compared.
        loss_margin: mean loss per row, in the task's unit, that may be lost; None: labels are not waited for.
            A canary whose loss is shown to be greater at all goes back, with or without.
        most_errors: a share; a canary that is shown to fail more goes back, whatever the champion does.

    Raises:
        SettingsError: one of them is out of its range.
    """

    confidence: float = 0.95
    min_requests: int = 100
    error_margin: float = 0.01
    latency_margin: float | None = 0.2
    latency_share: float = 0.95
    loss_margin: float | None = None
    most_errors: float = 0.5

    def __post_init__(self) -> None:
        for name in ("confidence", "error_margin", "latency_share", "most_errors"):
            if not 0 < (value := getattr(self, name)) < 1:
                raise SettingsError(f"{name} is {value!r}. Choose a number between 0 and 1.")
        for name in ("latency_margin", "loss_margin"):
            if (value := getattr(self, name)) is not None and not 0 < value < math.inf:
                raise SettingsError(f"{name} is {value!r}. Choose a number above 0, or none.")
        if self.min_requests < 1:
            raise SettingsError(f"min_requests is {self.min_requests!r}. Ask for at least 1.")
