"""Modules by their source: what names stand for, which arguments are constant, what cannot be parsed."""

from __future__ import annotations

import textwrap
import warnings

import pytest

from runtime_lib.audit.index.model import UNKNOWN, Call, Module
from runtime_lib.audit.index.modules import read_module


def read(source: str, path: str = "package/train.py", name: str = "package.train", **known: str) -> Module:
    return read_module(path, textwrap.dedent(source), name, known)


def names(source: str, **more: str) -> list[str]:
    return [one.name for one in read(source, **more).calls]


def only(source: str, name: str) -> Call:
    return next(one for one in read(source).calls if one.name == name)


def test_imports_are_whole_and_relative_ones_absolute():
    module = read(
        """
        import numpy as np, os.path
        from sklearn.ensemble import RandomForestClassifier as RF
        from . import data
        from ..shared.io import load
        from .features import *
        def f():
            import torch
        try:
            import lightgbm
        except ImportError:
            lightgbm = None
        """,
        path="top/package/train.py",
        name="top.package.train",
    )
    assert [one.name for one in module.imports] == [
        "numpy",
        "os.path",
        "sklearn.ensemble.RandomForestClassifier",
        "top.package.data",
        "top.shared.io.load",
        "top.package.features.*",
        "lightgbm",
        "torch",
    ]
    assert module.packages >= {"numpy", "sklearn", "torch", "lightgbm"}
    package = read("from .a import b", path="top/__init__.py", name="top")
    assert package.imports[0].name == "top.a.b"


def test_names_of_the_repository_are_those_of_its_modules():
    module = read_module("s.py", "from src.pkg.data import load\nload()", "s", {"src.pkg.data": "pkg.data"})
    assert module.calls[0].name == "pkg.data.load"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import mlflow as m\nm.log_metric('a', 1)", "mlflow.log_metric"),
        ("from sklearn.svm import SVC as S\nmodel = S()\nmodel.fit(x)", "sklearn.svm.SVC().fit"),
        ("import pandas as pd\npd.read_csv('a').dropna().merge(b)", "pandas.read_csv().dropna().merge"),
        ("import wandb\nwith wandb.init() as run:\n    run.log({})", "wandb.init().log"),
        ("import x\ndef f(model: x.Model | None): model.fit()", "x.Model().fit"),
        ("import x\ndef f(model: 'x.Model'): model.fit()", "x.Model().fit"),
        ("from typing import Optional\nfrom x import M\ndef f(m: Optional[M]): m.fit()", "x.M().fit"),
        ("def f(model): model.fit()", "?.fit"),
        ("models[0].fit()", "?.fit"),
        ("fit()", "fit"),
        ("def g(): pass\ng()", "package.train.g"),
        ("from x import A, B\na, b = A(), B()\nb.go()", "x.B().go"),
        ("from x import A\nif (a := A()):\n    a.go()", "x.A().go"),
        ("from x import A\na = a or A()\na.go()", "x.A().go"),
        ("from fastai.vision.all import *\nlearn = cnn_learner()", "fastai.vision.all.cnn_learner"),
        ("from a import *\nfrom b import *\nlearn()", "learn"),
        ("from x import A\ndef make():\n    return A()\ndef main():\n    make().go()", "x.A().go"),
        ("import x\nlogger = x.L()\nif y:\n    logger = None\nlogger.go()", "x.L().go"),
        (
            "from x import load\nm = None\ndef a():\n    global m\n    m = load()\ndef b(): m.go()",
            "x.load().go",
        ),
        ("from x import A\nrun = lambda: [A().go() for a in b]", "x.A().go"),
        ("from x import A\nmatch y:\n    case 1:\n        A().go()", "x.A().go"),
        ("from x import A\nasync def f():\n    a = await A()\n    await a.go()", "x.A().go"),
    ],
)
def test_a_call_is_named_by_what_its_names_stand_for(source, name):
    assert name in [one.name for one in read_module("package/train.py", source, "package.train", {}).calls]


def test_what_is_assigned_to_self_is_known_in_all_methods():
    found = names(
        """
        from sklearn.svm import SVC
        class Trainer(Base):
            optimizer: SVC
            def run(self):
                self.model.fit(x)
                self.helper()
                self.optimizer.step()
            def __init__(self):
                self.model = SVC()
            @staticmethod
            def free(model):
                model.fit()
        """
    )
    assert "sklearn.svm.SVC().fit" in found
    assert "package.train.Trainer().helper" in found
    assert "sklearn.svm.SVC().step" in found
    assert "?.fit" in found


def test_a_parameter_hides_what_the_module_binds():
    assert names("import model\nscale = 3\ndef f(model, scale):\n    model.fit(scale)") == ["?.fit"]


def test_arguments_are_constants_or_unknown_and_say_what_they_are():
    call = only(
        """
        import config
        SEED = -42
        class Config:
            rate: float = 0.1
        def train(depth, **rest):
            text = "a" + "b"
            f(SEED, [1, depth], {"a": (1, None)}, f"x{SEED}", Config.rate, text, not True,
              seed=config.SEED, depth=depth, args=args.seed, made=g(), **rest)
        """,
        "f",
    )
    assert call.args == (-42, [1, UNKNOWN], {"a": (1, None)}, "x-42", 0.1, "ab", False)
    assert call.keywords == dict.fromkeys(("seed", "depth", "args", "made", "**"), UNKNOWN)
    assert {
        "seed": "config.SEED",
        "depth": "depth",
        "args": "args.seed",
        "made": "g()",
    }.items() <= call.names.items()


def test_what_is_bound_to_two_values_is_unknown():
    source = "import os\nseed = 1\nif x:\n    seed = 2\nf(seed)\nx = 3\nx += 1\nf(x)"
    assert [one.args for one in read(source).calls] == [(UNKNOWN,), (UNKNOWN,)]


def test_constants_are_of_the_module_and_its_classes():
    module = read(
        """
        SEED: int = 42
        NAMES = ["a"]
        class Config:
            seed: int = Field(default=7, ge=0)
            rate = 0.5
            def __init__(self):
                self.depth = 3
        """
    )
    assert module.constants == {
        "SEED": (42, 2),
        "NAMES": (["a"], 3),
        "Config.seed": (7, 5),
        "Config.rate": (0.5, 6),
        "Config.depth": (3, 8),
    }


def test_functions_have_decorators_defaults_and_assertions():
    module = read(
        """
        import pytest, numpy as np
        from prefect import flow
        @flow(name="x")
        @pytest.mark.slow
        def test_it(seed=1, *, rate=0.5, other=None, made=g()):
            assert f(1) == 2, "no"
            def inner():
                np.testing.assert_allclose(a, b)
            with pytest.raises(ValueError):
                f(2)
        class TestThat:
            def test_that(self):
                self.assertEqual(1, f())
        assert accuracy > 0.8
        """
    )
    first, inner, that = module.functions
    assert (first.name, first.line, first.end) == ("test_it", 6, 11)
    assert first.decorators == ("prefect.flow", "pytest.mark.slow")
    assert first.parameters == ("seed", "rate", "other", "made")
    assert first.defaults == {"seed": 1, "rate": 0.5, "other": None}
    assert [line for line, _ in first.asserts] == [7, 10, 9]
    assert first.asserts[0][1] == 'assert f(1) == 2, "no"'
    assert (inner.name, [line for line, _ in inner.asserts]) == ("test_it.inner", [9])
    assert (that.name, [line for line, _ in that.asserts]) == ("TestThat.test_that", [14])
    assert module.asserts == ((15, "assert accuracy > 0.8"),)
    assert {("prefect.flow", ""), ("pytest.mark.slow", ""), ("f", "test_it")} <= {
        (one.name, one.function) for one in module.calls
    }


def test_what_never_runs_is_not_live_and_conditions_are_kept():
    found = {
        one.name: (one.live, one.when)
        for one in read(
            """
            from typing import TYPE_CHECKING
            import wandb
            DEBUG = False
            if False:
                a()
            else:
                b()
            if DEBUG and x:
                c()
            if TYPE_CHECKING:
                d()
            def train(args, use_wandb=False, quick=True):
                if args.wandb:
                    e()
                elif not use_wandb:
                    f()
                else:
                    g()
                if quick:
                    return
                h()
            j() if flag else k()
            if False:
                def late():
                    i()
            """
        ).calls
    }
    assert found == {
        "a": (False, ("False",)),
        "b": (True, ("not False",)),
        "c": (False, ("DEBUG and x",)),
        "d": (False, ("typing.TYPE_CHECKING",)),
        "e": (True, ("args.wandb",)),
        "f": (True, ("not args.wandb", "not use_wandb")),
        "g": (True, ("not args.wandb", "use_wandb")),
        "h": (True, ("not quick",)),
        "i": (False, ()),
        "j": (True, ("flag",)),
        "k": (True, ("not flag",)),
    }


def test_branches_that_may_be_gates_are_kept():
    module = read(
        """
        import sys
        if accuracy < 0.8:
            raise ValueError("too low")
        if not report.passed:
            print("no")
            sys.exit(1)
        def promote():
            if new > old:
                register()
            if x == 1:
                pass
            if new < old:
                return False
            return new > old
        accepted = new >= old.score
        mask = table["a"] > 3
        f(accepted=new > old)
        """
    )
    assert [
        (one.line, one.end, one.test, one.stops, one.leaves, one.function) for one in module.branches
    ] == [
        (3, 4, "accuracy < 0.8", True, False, ""),
        (5, 7, "not report.passed", True, False, ""),
        (9, 10, "new > old", False, False, "promote"),
        (13, 14, "new < old", False, True, "promote"),
        (15, 15, "new > old", False, True, "promote"),
        (16, 16, "accepted = new >= old.score", False, False, ""),
        (18, 18, "accepted=new > old", False, False, ""),
    ]


def test_strings_leave_docstrings_out():
    found = read('"""Doc."""\nf("a", b="c")\nd = {"k": f"v{x}"}\n"out of use"').strings
    assert sorted(found) == [(2, "a"), (2, "c"), (3, "k"), (3, "v")]


@pytest.mark.parametrize(
    ("source", "script"),
    [
        ("def f(): pass", False),
        ("import logging\nlogging.basicConfig()", False),
        ("def f(): pass\nif __name__ == '__main__':\n    f()", True),
        ("main()", True),
        ("import x\nfor a in b:\n    x.fit(a)", True),
    ],
)
def test_a_script_does_its_work_at_module_level(source, script):
    assert read(source).is_script is script


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("print 'a'\n", "Python 2"),
        ("try:\n    f()\nexcept ValueError, e:\n    pass\n", "Python 2"),
        ("def f(:\n    pass\n", "syntax error in line 1"),
        ("{% for x in y %}\n  {{ x }} = = 1\n{% endfor %}", "a template"),
        ("a = 1\0", "binary"),
        ("x = " + "(" * 5000 + ")" * 5000, "syntax error in line 1"),
        ("x = " + "-" * 50_000 + "1", "nested too deeply"),
        ("x = 1\n" * 200_000, "larger than 1 MB"),
    ],
)
def test_what_cannot_be_parsed_says_why(source, problem):
    module = read_module("a.py", source, "a", {})
    assert module.problem == problem
    assert module.calls == ()


def test_a_template_is_read_with_a_name_in_each_hole():
    module = read(
        "from {{ cookiecutter.package }} import data\n{% if x %}\ndata.load('{{ a }}')\n{% endif %}\n"
    )
    assert module.problem == ""
    assert [(one.name, one.line) for one in module.calls] == [("cookiecutter_package.data.load", 3)]


def test_long_chains_and_many_branches_are_read():
    chain = "x = a()" + ".b()" * 300 + "\n" + "y = y.filter()\n" * 300
    many = "if x == 0:\n    f()\n" + "elif x == 1:\n    f()\n" * 200
    module = read_module("a.py", chain + many, "a", {})
    assert module.problem == ""
    assert max(len(one.name) for one in module.calls) <= 210


def test_warnings_of_the_parser_are_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_module("a.py", 'x = "\\d"\nif x is "a": f()', "a", {}).problem == ""


def test_blank_lines_are_not_counted():
    assert read_module("a.py", "a = 1\n\n   \n# b\n", "a", {}).lines == 2
