"""The docs site: `nox -s docs`. The pages stay plain Markdown, so what only a site needs is here."""

import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent

project = "MLOps template"
version = release = (HERE.parent / "runtime_lib" / "VERSION").read_text(encoding="utf-8").strip()
extensions = ["myst_parser"]
root_doc = "README"
exclude_patterns = ["_build"]
# Named as a forge names them; a link to any other heading is a warning, and so an error.
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = html_show_copyright = html_show_sphinx = False
pygments_style, pygments_dark_style = "tango", "github-dark"


def _add_contents(app, name, source):
    """Give the pages that list others a table of contents in the order of their links."""
    if name.rpartition("/")[2] == "README" or (HERE / name).is_dir():
        pages = dict.fromkeys(re.findall(r"^\|.*?\]\(([\w./-]+)\.md\)", source[0], flags=re.MULTILINE))
        source[0] += "\n\n```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n"


def _add_index(app, error):
    if error is None and app.builder.name == "html":
        shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app):
    app.connect("source-read", _add_contents)
    app.connect("build-finished", _add_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
