"""How traffic is divided: whole tenths of a percent by version, 1000 in all."""

from __future__ import annotations

from collections.abc import Mapping

from runtime_lib.errors import SettingsError

__all__ = ["WHOLE", "divide"]

WHOLE = 1000


def divide(parts: Mapping[str, float], *, floor: int = 0) -> dict[str, int]:
    """Divide the traffic in proportion to `parts`, and give no version less than `floor`.

    What a version lacks to the floor is taken from the others in proportion to what they have above it; what
    rounding leaves goes to the largest remainders.

    Args:
        parts: version → a number from 0, not all 0.
        floor: tenths of a percent.

    Raises:
        SettingsError: the floors need more than there is, or there are no parts.
    """
    if floor < 0 or floor * len(parts) > WHOLE:
        raise SettingsError(
            f"{len(parts)} versions cannot have {floor / 10:g} % of the traffic each. "
            f"Choose a floor from 0 to {WHOLE // max(len(parts), 1) / 10:g} %."
        )
    total = sum(parts.values())
    if not total > 0 or min(parts.values()) < 0:
        raise SettingsError(f"Traffic cannot be divided by {dict(parts)}. Give parts from 0, one above it.")
    exact = _lifted({name: WHOLE * part / total for name, part in parts.items()}, floor)
    whole = {name: int(share) for name, share in exact.items()}
    left = WHOLE - sum(whole.values())
    for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:left]:
        whole[name] += 1
    return whole


def _lifted(exact: Mapping[str, float], floor: int) -> dict[str, float]:
    """Raise to the floor what is below it; the rest pays, never below the floor itself."""
    spare = {name: max(share - floor, 0.0) for name, share in exact.items()}
    lack = sum(max(floor - share, 0.0) for share in exact.values())
    above = sum(spare.values())
    kept = 1 - lack / above if above else 0.0
    return {name: round(floor + spare[name] * kept, 9) for name in exact}
