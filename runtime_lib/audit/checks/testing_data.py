"""Testing: is the data checked before a model learns from it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime_lib.audit import parts
from runtime_lib.audit.index.model import Evidence, Module, Repo
from runtime_lib.audit.queries import at, calls, entries, files
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.testcases import Case, cases, is_own
from runtime_lib.audit.tools import used

if TYPE_CHECKING:
    from runtime_lib.audit.project import Project

__all__: list[str] = []

# Functions that validate data, by their names.
_VALIDATES = re.compile(
    r"(?:valid|check|verify|assert)\w*_(?:data|dataset|schema|columns?|dataframe|df|inputs?_data"
    r"|dtypes|missing_values|nulls?|data_quality|number_of_columns|all_columns)(?:_|$)"
    r"|(?:data|dataset|schema|columns?|dataframe)_(?:valid\w*|checks?|quality|tests?)|^(?:data_)?validation$",
    re.IGNORECASE,
)
_CLASSES = re.compile(
    r"Data\w*(?:Validat|Check|Quality)\w*|(?:Schema|Dataset)Validat\w*|Validat\w*Data\w*", re.IGNORECASE
)
_LOADS = re.compile(
    r"^(?:pandas|polars|dask\.dataframe|geopandas|pyarrow\.\w+)\.(?:read_|scan_)\w+$|(?:^|\.)(?:load|read|get|fetch)_\w*"
    r"(?:data|dataset|df|csv|frame|raw|train|table)\w*$|spark\.read|use_artifact|\.read\.(?:csv|parquet)$"
)
_ABOUT = re.compile(
    r"isnull|isna\b|notnull|notna|\.columns|dtypes?\b|\.between\(|\.isin\(|duplicated|nunique|\.unique\("
    r"|is_unique|\.min\(\)|\.max\(\)|value_counts|known_\w+|expected_columns|kstest|ks_2samp|is_monotonic"
)
_BRINGS = re.compile(
    r"load|read|get|fetch|data|clean|prep|process|split|ingest|extract|valid|schema|check|import"
)
# What a model made is no data that it learns from.
_RESULTS = re.compile(r"pred|output|result|proba|forecast|score|metric", re.IGNORECASE)
_MODELS = re.compile(
    r"(?:^|\.)(?:fit|predict|fit_predict|evaluate|forward|train|training_step|fit_transform)$"
)
_MADE = re.compile(r"tmp_path|tmpdir|StringIO|BytesIO|tempfile")
_RULES = re.compile(r"\.(?:isnull|isna|notnull|notna|between|duplicated|isin|dtypes|is_unique)$")
_VALUES = re.compile(r"\.(?:isnull|isna|notnull|notna|between|duplicated)\(")
_SETTINGS = re.compile(r"^(?:yaml|ruamel|tomllib|toml|omegaconf)\b.*\.(?:\w*load\w*)$")
_DBT = ("*models/*.yml", "*models/*.yaml")


def _looked(repo: Repo) -> tuple[str, ...]:
    return (f"{len(repo.modules):,} modules", f"{len(cases(repo)):,} test functions")


@check(
    "Q5",
    "testing",
    "Is the data checked?",
    looks_for="Schemas, expectations and ranges: pandera, Great Expectations, deepchecks, TFDV, dbt, "
    "pydantic for rows of files, own validation in the pipeline, tests that assert on the data itself.",
    why="A column that changes its unit or goes missing breaks a model without an error.",
    fix="Declare the columns, types and ranges that training expects, and check each new table against them.",
    effort="hours",
    priority="high",
    false_answers="Own validation is known by the names of its functions.",
    tools=("pandera", "great_expectations", "deepchecks"),
    brings="`mlops run` refuses months that break your `schema`; `mlops quality` shows the rates of bad rows",
)
def _data(repo: Repo, project: Project) -> Finding:
    if project.kind == "library":
        found = list(_in_tests(repo))
    else:
        found = [
            *_tools(repo),
            *_dbt(repo),
            *_models(repo, project),
            *_own(repo),
            *_stopped(repo),
            *_asset_checks(repo),
            *_in_tests(repo),
        ]
    if found:
        return Finding(
            "pass", f"The data are checked: {found[0].what}.", tuple(dict.fromkeys(found))[:5], value=True
        )
    if not project.ml:
        return Finding("n/a", "Nothing here learns from data.", looked_at=_looked(repo))
    return Finding("fail", "Nothing checks the data.", looked_at=_looked(repo), value=False)


def _tools(repo: Repo) -> Iterator[Evidence]:
    aside = parts.examples(repo) - parts.training(repo)
    within = frozenset(one.path for one in repo.code()) - aside
    for _, one in used(repo, "data_tests", within=within):
        yield one
    for module in repo.code():
        if module.path in within:
            yield from (
                at(module, line, f"class {name}({base})")
                for name, (bases, line) in module.classes.items()
                for base in bases
                if base.startswith("pandera.")
            )


def _dbt(repo: Repo) -> Iterator[Evidence]:
    if not files(repo, "dbt_project.yml"):
        return
    for glob in _DBT:
        for document, entry in entries(repo, "*.tests.*", "*.data_tests.*", within=glob):
            yield at(document, entry.line, f"{entry.keys[-1]}: {entry.value}")


def _models(repo: Repo, project: Project) -> Iterator[Evidence]:
    """Rows of tables as objects of pydantic: `Row(**row)`, `Rows(inputs=table.to_dict(…))`."""
    models = {
        f"{module.name}.{name}"
        for module in repo.modules.values()
        for name, (bases, _) in module.classes.items()
        if any(
            base in ("pydantic.BaseModel", "pydantic.main.BaseModel", "sqlmodel.SQLModel") for base in bases
        )
    }
    for module, call in calls(repo, *models, *(f"{one}.model_validate" for one in models)) if models else ():
        beside = [one.name for one in module.calls if one.line == call.line]
        given = " ".join([*call.names.values(), *(f"{one}()" for one in beside)])
        row = re.search(r"to_dict\(\)|\brow\b|\brecord\b|iterrows|itertuples", given)
        if row and module.path not in project.tests and not any("requests" in one for one in module.packages):
            yield at(module, call.line, f"{call.name}(…)")


def _own(repo: Repo) -> Iterator[Evidence]:
    """Validation in the code itself, that something calls."""
    aside = parts.tests(repo) | parts.examples(repo)
    for module in repo.modules.values():
        if module.path in aside:
            continue
        for function in module.functions:
            around, _, last = function.name.rpartition(".")
            named = _VALIDATES.search(last) or (
                _CLASSES.search(around) and last.startswith(("valid", "check", "is_"))
            )
            if (
                named
                and _judges(module, function.name, function.line, function.end)
                and _is_called(repo, last)
            ):
                yield at(module, function.line, f"def {function.name}")


def _stopped(repo: Repo) -> Iterator[Evidence]:
    """What ends the program where values are missing, repeated or out of their range."""
    aside = parts.tests(repo) | parts.examples(repo)
    for module in repo.code():
        if module.path in aside:
            continue
        found = [(one.line, one.test, one.function) for one in module.branches if one.stops and one.live]
        found += [(line, text, "") for line, text in module.asserts]
        found += [(line, text, one.name) for one in module.functions for line, text in one.asserts]
        for line, text, function in found:
            last = function.rpartition(".")[2]
            if _VALUES.search(text) and (not last or _is_called(repo, last)):
                yield at(module, line, text)


def _asset_checks(repo: Repo) -> Iterator[Evidence]:
    """Dagster's checks of an asset that look at its values."""
    for module, call in calls(repo, "dagster.AssetCheckResult"):
        if any(one.function == call.function and _RULES.search(one.name) for one in module.calls):
            yield at(module, call.line, f"{call.name}(…)")


def _judges(module: Module, name: str, first: int, last: int) -> bool:
    """Whether a function looks at columns, and decides: it raises, returns or asserts."""
    inside = [one.name for one in module.calls if one.function == name]
    words = " ".join(text for line, text in module.strings if first <= line <= last).lower()
    if any(map(_RULES.search, inside)) or "column" in words or "schema" in words:
        return True
    if any(map(_SETTINGS.search, inside)):  # a file that names the data set has its keys checked
        return False
    decides = any(first <= one.line <= last for one in module.branches)
    return decides or any(one.asserts for one in module.functions if one.name == name)


def _is_called(repo: Repo, name: str) -> bool:
    return any(True for _ in calls(repo, f"*.{name}", name))


def _in_tests(repo: Repo) -> Iterator[Evidence]:
    for case in cases(repo):
        about = [text for _, text in case.asserts if _ABOUT.search(text) and not _RESULTS.search(text)]
        if about and _reads(case) and _is_about_data(repo, case):
            yield at(case.module, case.function.line, f"def {case.function.name}")


def _is_about_data(repo: Repo, case: Case) -> bool:
    """Whether the own code that a test runs is what brings and prepares data."""
    own = [call.name for module, call in case.calls if is_own(repo, call.name, module)]
    return all(_BRINGS.search(name.partition("()")[0].rpartition(".")[2].lower()) for name in own)


def _reads(case: Case) -> bool:
    """Whether a test reads data that is there, rather than what it made itself."""
    if any(_MADE.search(f"{call.name} {' '.join(call.names.values())}") for _, call in case.calls):
        return False
    if set(case.function.parameters) & {"tmp_path", "tmpdir"}:
        return False
    names = [call.name for _, call in case.calls]
    return any(map(_LOADS.search, names)) and not any(map(_MODELS.search, names))
