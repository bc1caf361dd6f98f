"""Active triggers in Python by time or data, and whether they reach training: A7 asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from runtime_lib.audit.calling import named_functions
from runtime_lib.audit.index.model import UNKNOWN, Call, Evidence, Module, Repo
from runtime_lib.audit.parts import examples, tests
from runtime_lib.audit.pipelines import commands_of, definitions, says_train
from runtime_lib.audit.queries import at, calls, reached
from runtime_lib.audit.running import function_trains, trains

__all__ = ["in_python"]

_OFF = (None, False, "", "none", "None", "@once", "null")
# Keywords that hold when something is started.
_WHEN: tuple[str, ...] = (
    "schedule", "schedule_interval", "timetable", "cron", "interval", "rrule", "schedules", "cron_schedule",
    "cron_expression", "trigger", "triggers", "recurrence",
)  # fmt: skip
_FLOWS = (
    "runtime_lib.pipeline.airflow.pipeline_dag",
    "airflow.*DAG",
    "airflow.DAG",
    "airflow.decorators.dag",
    "airflow.sdk.dag",
    "prefect.Flow",
)
_DEPLOYS = (
    "*.serve",
    "*.deploy",
    "*.to_deployment",
    "prefect.*Deployment*",
    "prefect.serve",
    "*.build_from_flow",
)
# Calls that make a schedule of what the module or its imports define.
_CALLS = (
    "*.create_recurring_run", "*.create_schedule", "*PipelineJobSchedule*", "zenml.*Schedule",
    "azure.ai.ml*JobSchedule", "azureml.pipeline.core*Schedule.create", "*.put_triggers", "*PipelineSchedule",
    "flytekit.LaunchPlan.*", "flytekit.CronSchedule", "flytekit.FixedRate", "dagster.ScheduleDefinition",
    "dagster.schedule", "dagster.sensor", "dagster.build_schedule_from_partitioned_job", "metaflow.schedule",
    "metaflow.trigger", "metaflow.trigger_on_finish",
)  # fmt: skip
_DAGSTER = re.compile(r"^dagster\.")
# Schedulers inside of a process: the function that they are given is what counts.
_JOBS = (
    "schedule.*.do", "*.add_job", "*.scheduled_job", "*.add_periodic_task", "*.run_daily", "*.run_repeating",
    "modal.*.function", "modal.*App().function", "*.crontab", "rocketry.*.task", "*.repeat_every",
    "*.on_schedule", "*.timer_trigger", "*.schedule_trigger",
)  # fmt: skip


def in_python(repo: Repo) -> Iterator[Evidence]:
    """Where code starts training by time or data."""
    aside = tests(repo) | examples(repo)
    training = _training(repo)
    for module, call in calls(repo, *_FLOWS):
        when = _flow_when(module, call) if module.path not in aside else ""
        if when and (_reaches(repo, module, training) or _follows_stages(repo, call)):
            yield at(module, call.line, f"{call.name}({when})")
    for module, call in calls(repo, *_DEPLOYS):
        when = _when(module, call) if module.path not in aside else ""
        prefect = when and "prefect" in module.packages | _above(repo, module)
        if prefect and _reaches(repo, module, training):
            yield at(module, call.line, f"{call.name}({when})")
    for module, call in calls(repo, *_CALLS):
        if module.path not in aside and _is_on(module, call) and _reaches(repo, module, training):
            yield at(module, call.line, f"{call.name}(…)")
    yield from _by_command(repo, aside)
    for module, call in calls(repo, *_JOBS):
        if module.path not in aside and _job_trains(repo, module, call):
            yield at(module, call.line, f"{call.name}(…)")


def _by_command(repo: Repo, aside: frozenset[str]) -> Iterator[Evidence]:
    """`subprocess.run(["prefect", "deploy", "flows/a.py:flow", "--cron", …])`."""
    for module, call in calls(repo, "subprocess.*", "os.system"):
        given = call.args[0] if call.args and call.live and module.path not in aside else ""
        words = given.split() if isinstance(given, str) else given if isinstance(given, list | tuple) else ()
        text = " ".join(one for one in words if isinstance(one, str))
        found = re.match(r"prefect deploy .*?([\w./-]+\.py):(\w+)", text)
        timed = re.search(r"--(?:cron|interval|rrule)\b", text)
        if found and timed and function_trains(repo, found[1], found[2]):
            yield at(module, call.line, text)


def _follows_stages(repo: Repo, call: Call) -> bool:
    """This library makes a DAG of the stages of dvc.yaml."""
    stages = any(one.tool == "dvc" and one.training for one in definitions(repo))
    return call.name.startswith("runtime_lib.") and stages


def _training(repo: Repo) -> frozenset[str]:
    """Paths of modules in which a pipeline trains."""
    return frozenset(one.evidence.path for one in definitions(repo) if one.training)


def _above(repo: Repo, module: Module) -> frozenset[str]:
    """Packages of what a module imports from this repository."""
    near = [repo.modules[path] for path in reached(repo, [module.path]) if path in repo.modules]
    return frozenset(name for one in near for name in one.packages)


def _reaches(repo: Repo, module: Module, training: frozenset[str]) -> bool:
    """Whether the module, or a pipeline that it imports, trains."""
    if module.path in training or reached(repo, [module.path]) & training:
        return True
    if any(
        function_trains(repo, module.path, one) for one in ("", *(each.name for each in module.functions))
    ):
        return True
    return any(
        trains(repo, command) or says_train(command)
        for call in module.calls
        if not re.search(r"(Empty|Dummy)Operator$", call.name)
        for command in (*commands_of(call), *_named(call))
    )


def _named(call: Call) -> Iterator[str]:
    for key in ("pipeline_name", "display_name", "task_id", "trigger_dag_id", "job_name"):
        if isinstance(value := call.keywords.get(key), str):
            yield value


def _flow_when(module: Module, call: Call) -> str:
    """What a flow's schedule is; "" if it has none, or begins paused."""
    if call.keywords.get("is_paused_upon_creation") is True:
        return ""
    if "airflow" in call.name and "DAG" in call.name and len(call.args) > 2:
        return "" if call.args[2] in _OFF else "schedule"
    return _when(module, call)


def _when(module: Module, call: Call) -> str:
    for key in _WHEN:
        if key in call.keywords:
            value = _known(module, call, key)
            if (
                value is UNKNOWN
                or (not isinstance(value, list | tuple | dict) and value not in _OFF)
                or (isinstance(value, list | tuple | dict) and value)
            ):
                shown = call.names.get(key, "…") if value is UNKNOWN else value
                return "" if call.keywords.get("paused") is True else f"{key}={shown}"
    return ""


def _known(module: Module, call: Call, key: str) -> Any:
    """The value of a keyword, also of a constant of the module."""
    value = call.keywords[key]
    name = call.names.get(key, "").rpartition(".")[2]
    if value is UNKNOWN and name in module.constants:
        return module.constants[name][0]
    return value


def _is_on(module: Module, call: Call) -> bool:
    """Dagster's schedules begin stopped; others may be made disabled."""
    if _DAGSTER.match(call.name):
        shown = f"{call.names.get('default_status', '')} {call.keywords.get('default_status', '')}"
        return "RUNNING" in shown
    if call.name.startswith("flytekit.LaunchPlan"):
        return _when(module, call) != ""
    off = ("enabled", "is_enabled", "enable", "active")
    if any(call.keywords.get(key) is False for key in off) or call.keywords.get("status") in (
        "PAUSED",
        "DISABLED",
    ):
        return False
    return call.keywords.get("disable", call.keywords.get("is_paused")) is not True


def _job_trains(repo: Repo, module: Module, call: Call) -> bool:
    """Whether what a scheduler calls trains: a function that it is given, or that it decorates."""
    if call.name.startswith("modal") and _when(module, call) == "":
        return False
    if call.name.startswith("celery"):  # a table of tasks by their names
        near = (text for line, text in module.strings if call.line - 4 <= line <= call.line + 1)
        return any(says_train(text.rpartition(".")[2]) for text in near)
    given = list(named_functions(repo, module, call))
    if any(function_trains(repo, *one) for one in given):
        return True
    # A decorator's function begins at its `def`, or at its first decorator.
    below = [one for one in module.functions if -2 < one.line - call.line <= 8]
    decorates = [
        one for one in below if any(name in call.name or call.name in name for name in one.decorators)
    ]
    return bool(decorates) and function_trains(repo, module.path, decorates[0].name)
