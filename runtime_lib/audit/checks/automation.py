"""A3 to A6: what continuous integration runs, and what it delivers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from runtime_lib.audit.delivering import delivered
from runtime_lib.audit.index.ci.known import role_of
from runtime_lib.audit.index.ci.shell import words as split
from runtime_lib.audit.index.model import Command, Evidence, Job, Pipeline, Repo
from runtime_lib.audit.project import Project
from runtime_lib.audit.queries import at
from runtime_lib.audit.records import Finding, check
from runtime_lib.audit.running import image_steps, started_by, trains

__all__ = ["CHANGES", "jobs"]

CHANGES = frozenset({"push", "pull_request"})
_AUTOMATIC = frozenset({"push", "tag", "release", "schedule", "event"})
# Workflow engines that are written like CI and are none.
_ENGINES = frozenset({"argo"})
_TESTS = re.compile(
    r"^(?:python[\d.]* (?:-\S+ )*-m )?"
    r"(?:pytest|py\.test|unittest|nose2?|nosetests|trial|behave|robot|green|ward)\b"
    r"|^(?:python[\d.]* (?:-\S+ )*-m )?coverage run\b"
    r"|^python[\d.]* (?:\S+/)?(?:setup\.py (?:\S+ )*test|manage\.py test)\b"
    r"|^(?:hatch|rye|pdm|uv|dbt|pixi) test\b|^R CMD check\b|^Rscript .*(?:test|rcmdcheck|check)"
    r"|^R (?:-\S+ )*.*(?:testthat|devtools::(?:test|check)|rcmdcheck)"
    r"|^(?:go|cargo|dotnet|swift|bazel|sbt|flutter|mix|zig|deno|bun) (?:\S+ )*test\b|^cargo nextest\b"
    r"|^(?:\./)?(?:mvnw?|gradlew?)\b.*\b(?:test|verify|check|build|install)\b|^ctest\b"
    r"|^(?:npx |yarn |pnpm )?(?:jest|vitest|mocha|karma|ava|cypress run|playwright test|ng test)\b"
    r"|^(?:npx )?react-scripts test\b|^julia\b.*Pkg\.test|^bats\b|^rspec\b|^(?:bundle exec )?rake test\b"
    r"|^composer test\b|^phpunit\b"
)
# Without what they run, their names say it.
_BY_NAME = re.compile(
    r"^(?:tox|nox|python[\d.]* -m (?:tox|nox))\b"
    r"(?!.*\b(?:lint|docs?|flake8|style|format|types?|mypy|build|release)\b)"
    r"|^python[\d.]* (?:\S+/)?(?:run_?tests?|runtests|test_all|all_tests)\.py\b"
    r"|^(?:\./|bash |sh )\S*run[-_]?tests?\S*\.sh\b"
)
_NO_RUN = re.compile(r"--collect-only|--co\b|--version|--help|--fixtures|--setup-plan|-h$")
_MAY_TEST = re.compile(r"test|(^|[-_/. ])(ci|checks?)([-_/.@ ]|$)", re.IGNORECASE)
# What a workflow or template from elsewhere does that is called like this is known well enough.
_NO_TEST = re.compile(
    r"lint|deploy|publish|release|docs?\b|label|stale|security|scan|codeql|semgrep|sast|secret|dependabot|format|style"
    r"|notify|pre-?commit|docker|image|\bcla\b|assign|change-?log|version|cleanup|triage|sync|backport|welcome",
    re.IGNORECASE,
)
_MAY_DELIVER = re.compile(r"deploy|publish|release|deliver|\bcd\b|push|ship", re.IGNORECASE)


def jobs(repo: Repo) -> Iterator[tuple[Pipeline, Job]]:
    """Jobs of active CI that something starts."""
    for pipeline in repo.ci:
        if pipeline.active and pipeline.provider not in _ENGINES:
            yield from ((pipeline, job) for job in pipeline.jobs if job.triggers and not job.disabled)


def _kinds(job: Job) -> set[str]:
    return {one.kind for one in job.triggers}


def _where(repo: Repo) -> tuple[str, ...]:
    active = [one for one in repo.ci if one.active and one.provider not in _ENGINES]
    aside = len(repo.ci) - len(active)
    said = f"{len(active)} CI configurations"
    return (said, f"{aside} that are examples or parts of others") if aside else (said,)


@check(
    "A3",
    "automation",
    "Does continuous integration run on changes?",
    pillar=True,
    looks_for="A configuration of a CI provider where that provider reads it, whose jobs start with a push "
    "or pull request. A copy in an example, a template or a subfolder is none.",
    why="What no machine checks on each change breaks without anybody seeing it.",
    false_answers="Pipelines that are set up in a web page alone leave no file.",
    fix="Add a workflow that runs the tests on pull requests.",
    effort="hours",
    priority="high",
    tools=("github-actions", "gitlab-ci", "azure-pipelines", "circleci", "jenkins"),
    brings="`copier copy` of this template writes pipelines for GitHub or GitLab.",
)
def configured(repo: Repo, project: Project) -> Finding:
    active = [one for one in repo.ci if one.active and one.provider not in _ENGINES]
    if not active:
        return Finding("fail", "There is no CI configuration.", looked_at=_where(repo), value=False)
    names = [name for name, _ in Counter(one.provider for one in active).most_common()]
    value = names[0] if len(names) == 1 else names
    changed = [(pipeline, job) for pipeline, job in jobs(repo) if _kinds(job) & CHANGES]
    if not changed:
        shown = tuple(at(one, 1, one.provider) for one in active[:5])
        broken = next((one.problem for one in active if one.problem and not one.jobs), "")
        if broken:
            return Finding("unknown", f"A configuration could not be read: {broken}.", shown, value=value)
        return Finding("partial", "No pipeline starts with a push or pull request.", shown, value=value)
    starts = [(one, trigger) for one, job in changed for trigger in job.triggers if trigger.kind in CHANGES]
    shown = tuple(
        dict.fromkeys(at(trigger.path, trigger.line, f"on {trigger.kind}") for _, trigger in starts)
    )
    return Finding("pass", f"CI runs on changes, with {', '.join(names)}.", shown[:5], value=value)


@check(
    "A4",
    "automation",
    "Does CI run tests on a push or pull request?",
    looks_for="A test runner in a job that a change starts, directly or through make, nox, tox, scripts, "
    "templates and composite actions. A job called Test that lints, and a pipeline that only a button "
    "starts, do not count.",
    why="Tests that run by hand are not run in the one week that matters.",
    false_answers="What a remote workflow or template runs cannot be read: the answer is unknown.",
    fix="Run the tests in the pipeline that pull requests start.",
    effort="hours",
    priority="high",
    tools=("pytest", "nox", "tox"),
    brings="`copier copy` of this template: its pipelines run the tests on each change.",
)
def tested(repo: Repo, project: Project) -> Finding:
    changed = [(pipeline, job) for pipeline, job in jobs(repo) if _kinds(job) & CHANGES]
    shown = tuple(islice((one for each in changed for one in _tests(repo, project, *each)), 5))
    if shown:
        return Finding("pass", "CI runs tests on changes.", shown, value=True)
    unclear = _unclear(changed, _MAY_TEST, _NO_TEST)
    if unclear:
        why = f"Whether tests run cannot be told: {unclear[0].what}."
        return Finding("unknown", why, unclear[:5], looked_at=_where(repo))
    others = any(True for each in jobs(repo) for _ in _tests(repo, project, *each))
    why = "CI runs tests, but no change starts them." if others else "CI runs no tests on changes."
    return Finding("fail", why, looked_at=_where(repo), value=False)


def _tests(repo: Repo, project: Project, pipeline: Pipeline, job: Job) -> Iterator[Evidence]:
    for command in job.commands:
        if is_test(repo, project, command):
            yield at(command.path, command.line, command.text)
    for name, line, _ in job.uses:
        if role_of(name) == "test":
            yield at(pipeline, line, name)


def is_test(repo: Repo, project: Project, command: Command) -> bool:
    """Whether a command runs tests."""
    text = command.text[:5000]
    if _NO_RUN.search(text):
        return False
    if _TESTS.match(text) or _BY_NAME.match(text):
        return True
    if re.match(r"docker (buildx )?build\b", text):
        return any(_TESTS.match(line) for line in image_steps(repo, text))
    return text.startswith("python") and any(
        path in _cases(project) for path, _ in started_by(repo, split(text))
    )


def _cases(project: Project) -> frozenset[str]:
    return frozenset(one for one in project.tests if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", one))


def _unclear(
    found: list[tuple[Pipeline, Job]], wanted: re.Pattern[str], others: re.Pattern[str] | None = None
) -> tuple[Evidence, ...]:
    """What could not be followed in these jobs and may be what was looked for.

    others: what it is called if it is something else; without it the name has to say that it is wanted.
    """
    unclear = []
    for pipeline, job in found:
        for what, line in job.unknown:
            small = what.startswith(("action ", "orb "))  # a step, of which the name of the job says nothing
            name = what.partition("/")[2] if small else f"{what.partition('/')[2] or what} {job.name}"
            broad = others is not None and not small and not others.search(name)
            if wanted.search(name) or broad:
                unclear.append(at(pipeline, line, what))
    return tuple(unclear)


@check(
    "A5",
    "automation",
    "Does CI train the model or run the training pipeline?",
    looks_for="A command in a job of CI that trains: a script that leads to training, `dvc repro`, a job "
    "that is submitted. It passes if a change starts it, and in part if only time or a button does.",
    why="A change that breaks training is found before somebody needs the next model.",
    false_answers="Training that a remote template starts is not seen.",
    fix="Train on a small sample in CI.",
    effort="hours",
    priority="medium",
    tools=("dvc", "cml", "make"),
    brings="`copier copy` of this template: tests/test_flow.py trains on three months.",
)
def trained(repo: Repo, project: Project) -> Finding:
    found = [(job, one) for pipeline, job in jobs(repo) for one in training_of(repo, pipeline, job)]
    if not found and not project.ml:
        return Finding("n/a", "Nothing here trains or predicts.", value=False)
    if not found:
        return Finding("fail", "No CI job trains the model.", looked_at=_where(repo), value=False)
    changed = [one for job, one in found if _kinds(job) & CHANGES]
    if changed:
        return Finding("pass", "CI trains on changes.", tuple(dict.fromkeys(changed))[:5], value=True)
    shown = tuple(dict.fromkeys(one for _, one in found))[:5]
    return Finding("partial", "CI trains, but no change starts it.", shown, value=True)


def training_of(repo: Repo, pipeline: Pipeline, job: Job) -> Iterator[Evidence]:
    """What in a job trains."""
    for command in job.commands:
        if trains(repo, command.text):
            yield at(command.path, command.line, command.text)
    for name, line, _ in job.uses:
        if role_of(name) == "train" or re.search(
            r"MLPublishedPipeline|RunPublishedPipeline", name, re.IGNORECASE
        ):
            yield at(pipeline, line, name)


@check(
    "A6",
    "automation",
    "Is what is made delivered by automation?",
    pillar=True,
    looks_for="A job that a push, tag, release or time starts and that publishes a package, pushes an image, "
    "registers or uploads a model, deploys a service or a pipeline. Documentation, and a button alone, do "
    "not count.",
    why="Deployment by hand is slow, differs each time, and waits for the one who knows how.",
    false_answers="Delivery that the platform does by itself (a hook on the registry) leaves no file.",
    fix="Build and push the image when a release is tagged.",
    effort="days",
    priority="high",
    tools=("docker/build-push-action", "pypa/gh-action-pypi-publish", "helm", "terraform"),
    brings="`mlops promote` hands a model that passes to the servers that run; a DAG does so by schedule.",
)
def delivering(repo: Repo, project: Project) -> Finding:
    automatic = [(pipeline, job) for pipeline, job in jobs(repo) if _is_automatic(job)]
    found = [one for each in automatic for one in delivered(repo, *each)]
    if found:
        what = ", ".join(dict.fromkeys(one for one, _ in found))
        shown = tuple(dict.fromkeys(one for _, one in found))[:5]
        return Finding("pass", f"CI delivers {what}.", shown, value=True)
    unclear = _unclear(automatic, _MAY_DELIVER)
    if unclear:
        why = f"Whether something is delivered cannot be told: {unclear[0].what}."
        return Finding("unknown", why, unclear[:5], looked_at=_where(repo))
    by_hand = [one for each in jobs(repo) if "manual" in _kinds(each[1]) for one in delivered(repo, *each)]
    if by_hand:
        shown = tuple(dict.fromkeys(one for _, one in by_hand))[:5]
        return Finding("partial", "A job delivers, but only when somebody starts it.", shown, value=False)
    return Finding(
        "fail", "No CI job delivers a package, image, model or service.", looked_at=_where(repo), value=False
    )


def _is_automatic(job: Job) -> bool:
    merged = any(one.kind == "pull_request" and one.what == "closed" for one in job.triggers)
    return merged or bool(_kinds(job) & _AUTOMATIC)
