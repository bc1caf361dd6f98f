"""Is a repository ready for production, and what first? Six principles, each finding with its evidence.

    index/      the repository, read once: files, modules, notebooks, documents, CI, dependencies
    project     what kind of project it is, which decides what applies
    tools       signatures of tools, a line each
    checks/     pure functions of the index, one record each
    facts, score, recommend      what follows from the findings
    report/     terminal, JSON, SARIF, HTML, Markdown, badge

Nothing of what is audited is run or imported, nothing outside its folder is read, nothing is written.
"""
