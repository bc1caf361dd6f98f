"""What runs by itself: CI configurations of any provider as jobs, their triggers and commands.

where         which file is which provider's, and whether the provider reads it
github, gitlab, azure, circleci, jenkins, simple, clouds      a provider each, or several plain ones
steps         steps, and which triggers reach them; conditions: as far as they are plain
expand        from a script to its commands: shell, wrappers, runners (make, nox, tox, tasks …)
known         what well-known actions do
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from runtime_lib.audit.index.ci.sources import Sources
from runtime_lib.audit.index.ci.where import configurations
from runtime_lib.audit.index.model import Document, Module, Pipeline, Text

__all__ = ["read_ci"]


def read_ci(
    texts: Mapping[str, Text],
    documents: Mapping[str, Document],
    modules: Mapping[str, Module],
    files: Collection[str] = (),
) -> tuple[Pipeline, ...]:
    """The CI configurations among these files, by path; none of them can make it raise.

    Args:
        texts: Makefiles, justfiles, Jenkinsfiles and shell scripts are looked up in it.
        documents: configurations, and tox.ini, setup.cfg, pyproject.toml, package.json, Taskfile.yml,
            mise.toml, pixi.toml, Pipfile, compose files, action.yml, .pre-commit-config.yaml.
        modules: noxfile.py and tasks.py.
        files: all tracked paths.
    """
    sources = Sources(texts, documents, modules, files)
    found: list[Pipeline] = []
    for where in configurations(sources):
        try:
            found.append(where.read(sources))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # Any YAML may be called a workflow; what no reader expects is said, and does not end the audit.
            problem = f"not understood ({type(error).__name__})"
            found.append(Pipeline(where.provider, where.path, (), (), where.active, problem))
    return tuple(sorted(found, key=lambda one: one.path))
