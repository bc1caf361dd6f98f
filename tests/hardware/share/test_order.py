"""Who may use the machine now: never more than the whole, in order, and overtaking delays nobody."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime_lib.errors import SettingsError
from runtime_lib.hardware.share.order import Lease, admitted, free, in_order, thousandths

Rule = Callable[[list[Lease]], list[Lease]]


def waiting(memory: int, gpu: int = 0, *, ticket: int, priority: int = 0) -> Lease:
    return Lease("p", (memory, gpu), priority, ticket, name=f"{ticket}")


def held(memory: int, gpu: int = 0, *, ticket: int = 0) -> Lease:
    return replace(waiting(memory, gpu, ticket=ticket), since=1.0)


def names(leases: list[Lease]) -> list[str]:
    return [lease.name for lease in leases]


@st.composite
def queues(draw: st.DrawFn) -> list[Lease]:
    """Some that hold no more than the whole, and some that wait."""
    # Multiples of a tenth meet at the boundary often; other numbers do not.
    share = st.integers(1, 10).map(lambda tenth: 100 * tenth) | st.integers(1, 1000)
    shares = st.tuples(share, share | st.just(0))
    leases: list[Lease] = []
    for ticket, (memory, gpu) in enumerate(draw(st.lists(shares, max_size=5))):
        if all(asked <= left for asked, left in zip((memory, gpu), free(leases), strict=True)):
            leases.append(held(memory, gpu, ticket=ticket))
    for ticket, (memory, gpu) in enumerate(draw(st.lists(shares, max_size=8)), start=10):
        leases.append(waiting(memory, gpu, ticket=ticket, priority=draw(st.integers(0, 2))))
    return leases


@settings(deadline=None)
@given(queues())
def test_never_more_than_the_whole_is_held(leases):
    running = [lease for lease in leases if lease.is_held] + admitted(leases)
    for i in range(2):
        assert sum(lease.shares[i] for lease in running) <= 1000


@settings(deadline=None)
@given(queues(), st.randoms())
def test_the_decision_depends_on_the_leases_only(leases, random):
    shuffled = random.sample(leases, len(leases))
    assert names(admitted(leases)) == names(admitted(shuffled))


@settings(deadline=None)
@given(queues())
def test_the_first_in_order_starts_once_its_shares_are_free(leases):
    queue = in_order(leases)
    if queue and all(asked <= left for asked, left in zip(queue[0].shares, free(leases), strict=True)):
        assert admitted(leases)[0] == queue[0]


@settings(deadline=None)
@given(queues())
def test_an_idle_machine_never_lets_all_wait(leases):
    queue = in_order(leases)
    assert names(admitted(queue))[:1] == names(queue)[:1]


def in_strict_order(leases: list[Lease]) -> list[Lease]:
    """The rule without overtaking, to compare with."""
    starting: list[Lease] = []
    for lease in in_order(leases):
        running = [other for other in leases if other.is_held] + [replace(s, since=1.0) for s in starting]
        if any(asked > left for asked, left in zip(lease.shares, free(running), strict=True)):
            break
        starting.append(lease)
    return starting


def starts(leases: list[Lease], seconds: dict[str, int], rule: Rule) -> dict[str, int]:
    """Play the queue to its end: when each started."""
    clock, begun = 0, {lease.name: 0 for lease in leases if lease.is_held}
    while len(begun) < len(seconds):
        for lease in rule(leases):
            begun[lease.name] = clock
            leases = [replace(o, since=1.0) if o.name == lease.name else o for o in leases]
        clock = min(begun[lease.name] + seconds[lease.name] for lease in leases if lease.is_held)
        leases = [o for o in leases if not (o.is_held and begun[o.name] + seconds[o.name] == clock)]
    return begun


@settings(deadline=None)
@given(queues(), st.data())
def test_nobody_starts_later_than_without_overtaking(leases, data):
    seconds = {lease.name: data.draw(st.integers(1, 20)) for lease in leases}
    strict, real = starts(leases, seconds, in_strict_order), starts(leases, seconds, admitted)
    assert all(real[name] <= strict[name] for name in strict)


def test_small_work_that_cannot_delay_the_big_one_overtakes_it():
    # Once the 60 % are free, 70 % and 30 % fit side by side.
    assert names(admitted([held(600), waiting(700, ticket=1), waiting(300, ticket=2)])) == ["2"]
    # The one who is first waits for the GPU; the second needs none, and there is memory for both.
    gpu = [held(100, 1000), waiting(400, 1000, ticket=1), waiting(500, ticket=2)]
    assert names(admitted(gpu)) == ["2"]


def test_small_work_that_may_delay_the_big_one_waits_behind_it():
    # When the 50 % end before the 10 %, 60 % would fit beside these, but not with 35 % more.
    assert admitted([held(500), held(100, ticket=1), waiting(600, ticket=2), waiting(350, ticket=3)]) == []
    assert admitted([held(600), waiting(1000, ticket=1), waiting(1, ticket=2)]) == []


def test_small_work_that_keeps_coming_does_not_starve_big_work():
    running, begun = [held(300, ticket=i) for i in range(3)], False
    big = waiting(900, ticket=10)
    for ticket in range(11, 40):
        running = running[1:]  # one ends, two more come
        leases = [*running, big, waiting(300, ticket=2 * ticket), waiting(300, ticket=2 * ticket + 1)]
        new = admitted(leases)
        if begun := big in new:
            break
        running += [replace(lease, since=1.0) for lease in new]
    assert begun


def test_the_higher_priority_goes_first_and_then_who_came_first():
    queue = [waiting(600, ticket=1), waiting(600, ticket=2, priority=5), waiting(600, ticket=3, priority=5)]
    assert names(in_order(queue)) == ["2", "3", "1"]
    assert names(admitted(queue)) == ["2"]
    assert admitted([held(500), *queue]) == []


def test_ten_tenths_are_the_whole():
    tenths = [waiting(thousandths(0.1, "memory"), ticket=i) for i in range(11)]
    assert names(admitted(tenths)) == [str(i) for i in range(10)]
    assert [thousandths(value, "memory") for value in (0.07, 0.3, 0.7, 1, 0.0001)] == [70, 300, 700, 1000, 1]


@settings(deadline=None)
@given(st.floats(0, 1, exclude_min=True))
def test_a_share_is_never_understated(share):
    assert share * 1000 - 1e-6 <= thousandths(share, "memory") < share * 1000 + 1


@pytest.mark.parametrize("value", [-0.1, 1.001, math.nan, math.inf, None, "much", 64_000])
def test_a_share_out_of_range_is_refused_with_its_value(value):
    with pytest.raises(SettingsError, match=r"share of GPU is .*0\.5 is half") as error:
        thousandths(value, "GPU")
    assert repr(value) in str(error.value)


def test_no_memory_at_all_is_no_demand():
    with pytest.raises(SettingsError, match="memory is 0; it is a number above 0 to 1"):
        thousandths(0, "memory", least=1)
    assert thousandths(0, "GPU") == 0
