"""A project's imports of names that moved are rewritten, and nothing else in its files."""

from __future__ import annotations

from textwrap import dedent

import pytest

from runtime_lib.upgrade.rewrite import Moves, Rename, rewrite

# A table of its own: the rule must hold for moves that this release does not have.
MOVED = {
    "runtime_lib.data.periods": "runtime_lib.data.months",
    "runtime_lib.tracking.locks": "runtime_lib.locks",
    "runtime_lib.hardware.plan": "runtime_lib.hardware.device.plan",
    "runtime_lib.hardware.plan.Plan": "runtime_lib.hardware.device.plan.ComputePlan",
    "runtime_lib.hardware.facts": "runtime_lib.hardware.read.facts",
    "runtime_lib.alerts": "runtime_lib.alerts.webhook",
    "runtime_lib.training.stages": "runtime_lib.training.train",
    "runtime_lib.training.stages.evaluate": "runtime_lib.training.evaluate.evaluate",
}
GONE = ("runtime_lib.data.periods.weeks",)
MOVES = Moves(MOVED, GONE)


def rewritten(text: str) -> str:
    before = dedent(text).strip("\n") + "\n"
    after, renames = rewrite(before.encode(), MOVES)
    assert rewrite(after, MOVES) == (after, []), "the second time changes nothing"
    assert bool(renames) == (after != before.encode())
    return after.decode()


def same(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from runtime_lib.data.periods import months", "from runtime_lib.data.months import months"),
        ("from runtime_lib.data.periods import *", "from runtime_lib.data.months import *"),
        (
            "from runtime_lib.data import columns, periods  # mine\nperiods.months()",
            "from runtime_lib.data import columns, months as periods  # mine\nperiods.months()",
        ),
        (
            "from runtime_lib.data import periods as p\np.months()",
            "from runtime_lib.data import months as p\np.months()",
        ),
        ("import runtime_lib.data.periods as p, os", "import runtime_lib.data.months as p, os"),
        (
            "import runtime_lib.data.periods\nx = runtime_lib.data.periods.months('2013-01', y)  # x",
            "import runtime_lib.data.months\nx = runtime_lib.data.months.months('2013-01', y)  # x",
        ),
        ("from runtime_lib.tracking import locks", "from runtime_lib import locks"),
        (
            "from runtime_lib.hardware.plan import Plan\nPlan.here()",
            "from runtime_lib.hardware.device.plan import ComputePlan as Plan\nPlan.here()",
        ),
        (
            "from runtime_lib.hardware import plan\nx: plan.Plan = plan.plan_for()",
            "from runtime_lib.hardware.device import plan\nx: plan.ComputePlan = plan.plan_for()",
        ),
        (
            "from runtime_lib.hardware.plan import Plan as P, plan_for",
            "from runtime_lib.hardware.device.plan import ComputePlan as P, plan_for",
        ),
        # A package's name and the module of that name.
        ("from runtime_lib.hardware.facts import Facts", "from runtime_lib.hardware.read.facts import Facts"),
        (
            "monkeypatch.setattr('runtime_lib.data.periods.months', None)",
            "monkeypatch.setattr('runtime_lib.data.months.months', None)",
        ),
        ("from runtime_lib.alerts import send", "from runtime_lib.alerts.webhook import send"),
        (
            "class A:\n    from runtime_lib.data import periods\n    x = periods.months()",
            "class A:\n    from runtime_lib.data import months as periods\n    x = periods.months()",
        ),
    ],
)
def test_an_import_names_the_place_of_today(before, after):
    assert rewritten(before) == same(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from runtime_lib.training.stages import train, evaluate",
            "from runtime_lib.training.evaluate import evaluate\n"
            "from runtime_lib.training.train import train",
        ),
        (
            "from runtime_lib.training.stages import evaluate, train",
            "from runtime_lib.training.train import train\n"
            "from runtime_lib.training.evaluate import evaluate",
        ),
        (
            "if x: from runtime_lib.training.stages import train, evaluate as e",
            "if x: from runtime_lib.training.evaluate import evaluate as e; "
            "from runtime_lib.training.train import train",
        ),
        (
            "if x:\n    from runtime_lib.training.stages import train, \\\n        evaluate",
            "if x:\n    from runtime_lib.training.evaluate import evaluate\n"
            "    from runtime_lib.training.train import train",
        ),
        (
            "from runtime_lib.training.stages import (train, evaluate)",
            "from runtime_lib.training.evaluate import evaluate\n"
            "from runtime_lib.training.train import (train)",
        ),
        (
            """
            from runtime_lib.training.stages import (
                train,  # fits
                evaluate,  # judges
                other,
            )
            """,
            """
            from runtime_lib.training.evaluate import evaluate
            from runtime_lib.training.train import (
                train,  # fits
                # judges
                other,
            )
            """,
        ),
        (
            """
            from runtime_lib.data import (
                columns,
                periods,
                validation
            )
            from runtime_lib import (
                settings,
                alerts
            )
            """,
            """
            from runtime_lib.data import (
                columns,
                months as periods,
                validation
            )
            from runtime_lib.alerts import webhook as alerts
            from runtime_lib import (
                settings,
            )
            """,
        ),
        (
            "from runtime_lib.training import stages\nstages.train()\nstages.evaluate(1)",
            "from runtime_lib.training.evaluate import evaluate as stages_evaluate\n"
            "from runtime_lib.training import train as stages\nstages.train()\nstages_evaluate(1)",
        ),
        (
            "import runtime_lib.training.stages as s\ns_evaluate = s.evaluate",
            "from runtime_lib.training.evaluate import evaluate as s_evaluate_\n"
            "import runtime_lib.training.train as s\ns_evaluate = s_evaluate_",
        ),
        (
            "import runtime_lib.training.stages\nruntime_lib.training.stages.evaluate()",
            "import runtime_lib.training.train, runtime_lib.training.evaluate\n"
            "runtime_lib.training.evaluate.evaluate()",
        ),
        # What is gone stays, to be reported with its advice.
        (
            "from runtime_lib.data.periods import months, weeks",
            "from runtime_lib.data.months import months\nfrom runtime_lib.data.periods import weeks",
        ),
    ],
)
def test_names_that_went_different_ways_get_imports_of_their_own(before, after):
    assert rewritten(before) == same(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "def f():\n    from runtime_lib.data import periods\n    return periods.months()",
            "def f():\n    from runtime_lib.data import months\n    return months.months()",
        ),
        (  # the new name is taken
            "def f(months):\n    from runtime_lib.data import periods\n    return periods.split(months)",
            "def f(months):\n    from runtime_lib.data import months as periods\n"
            "    return periods.split(months)",
        ),
        (  # the old name also means something else
            "def f():\n    from runtime_lib.data import periods\n\ndef g(periods): return periods.x",
            "def f():\n    from runtime_lib.data import months as periods\n\n"
            "def g(periods): return periods.x",
        ),
        (  # one function and the module
            "from runtime_lib.data import periods\ndef f():\n    from runtime_lib.data import periods",
            "from runtime_lib.data import months as periods\n"
            "def f():\n    from runtime_lib.data import months as periods",
        ),
        (
            "def f():\n    from runtime_lib.data import periods as months\n    months.x",
            "def f():\n    from runtime_lib.data import months as months\n    months.x",
        ),
        (
            "def f():\n    from runtime_lib.training import stages\n    stages.train(stages.evaluate)",
            "def f():\n    from runtime_lib.training.evaluate import evaluate as stages_evaluate\n"
            "    from runtime_lib.training import train\n    train.train(stages_evaluate)",
        ),
    ],
)
def test_inside_a_function_the_new_name_is_used_where_it_is_free(before, after):
    assert rewritten(before) == same(after)


@pytest.mark.parametrize(
    "text",
    [
        "from runtime_lib.data import columns\nfrom runtime_lib.settings import load",
        "from runtime_lib.hardware import facts\nfacts().chip",
        "import runtime_lib.hardware\nruntime_lib.hardware.facts().chip",
        "from runtime_lib.alerts.webhook import send",
        "from mine.data import periods\nimport runtime_lib\nperiods.months()",
        "from .runtime_lib.data import periods",
        "# runtime_lib.data.periods\nx = 'see runtime_lib.data.periods'",
        "import runtime_lib.data.months\ndef f(runtime_lib): runtime_lib.data.periods",
        "from runtime_lib.data.periods import months\n<<<<<<< mine",
    ],
)
def test_everything_else_is_left_alone(text):
    assert rewritten(text) == text + "\n"


def test_every_other_byte_stays():
    before = (
        b"\xef\xbb\xbf# \xc3\xa4\r\n"
        b"from runtime_lib.data import periods  # \xe2\x82\xac\t \r\n"
        b"\x0c\r\nname = '\xc3\xa4\xc3\xb6'; from runtime_lib.tracking.locks import (  locked ,)   \r\n"
        b"x = 1"
    )
    after, renames = rewrite(before, MOVES)
    assert after == before.replace(b"import periods", b"import months as periods").replace(
        b"runtime_lib.tracking.locks", b"runtime_lib.locks"
    )
    assert renames == [
        Rename(2, "runtime_lib.data.periods", "runtime_lib.data.months"),
        Rename(4, "runtime_lib.tracking.locks.locked", "runtime_lib.locks.locked"),
    ]


def test_a_file_that_is_not_utf_8_is_left_alone():
    text = b"# coding: latin-1\nfrom runtime_lib.data import periods  # \xe4\n"
    assert rewrite(text, MOVES) == (text, [])
