"""Whether a list of packages holds what they need themselves: that tells a freeze from a list of pins."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["is_closed", "is_closed_conda"]

# Package → what every usual version of it needs; one of `a|b`. Long-lived edges only.
NEEDS = {
    "requests": "certifi idna urllib3 charset-normalizer|chardet",
    "jinja2": "markupsafe",
    "flask": "werkzeug jinja2 itsdangerous click",
    "pandas": "numpy python-dateutil",
    "python-dateutil": "six",
    "scikit-learn": "numpy scipy joblib|threadpoolctl",
    "scipy": "numpy",
    "matplotlib": "numpy pyparsing cycler kiwisolver",
    "seaborn": "matplotlib pandas",
    "boto3": "botocore s3transfer jmespath",
    "botocore": "jmespath python-dateutil urllib3",
    "tensorflow": "absl-py protobuf numpy",
    "torchvision": "torch pillow|numpy",
    "torch": "typing-extensions",
    "transformers": "tokenizers tqdm regex filelock requests|httpx|huggingface-hub",
    "keras": "numpy",
    "fastapi": "pydantic starlette",
    "starlette": "anyio|typing-extensions|python-multipart",
    "pydantic": "typing-extensions",
    "uvicorn": "h11 click",
    "mlflow": "click numpy pandas sqlalchemy|mlflow-skinny",
    "sqlalchemy": "typing-extensions|greenlet|importlib-metadata",
    "django": "sqlparse asgiref|pytz",
    "pytest": "pluggy iniconfig|py|more-itertools|attrs",
    "notebook": "tornado jinja2 nbformat jupyter-core|jupyter-server",
    "jupyter": "ipykernel",
    "ipykernel": "ipython tornado jupyter-client",
    "ipython": "traitlets decorator|stack-data",
    "statsmodels": "patsy numpy scipy",
    "xgboost": "numpy scipy",
    "lightgbm": "numpy|scipy",
    "streamlit": "altair pandas tornado",
    "wandb": "click gitpython|docker-pycreds sentry-sdk",
    "dvc": "dpath|funcy",
    "google-auth": "pyasn1-modules rsa|cachetools",
    "beautifulsoup4": "soupsieve",
    "spacy": "thinc blis srsly",
    "nltk": "joblib|six",
    "plotly": "tenacity|narwhals|retrying|six",
    "gensim": "smart-open",
    "celery": "kombu billiard vine",
    "aiohttp": "multidict yarl attrs",
    "hydra-core": "omegaconf antlr4-python3-runtime",
    "omegaconf": "pyyaml antlr4-python3-runtime|typing-extensions|future",
    "sphinx": "docutils jinja2 pygments",
    "opencv-python": "numpy",
    "optuna": "alembic|cliff sqlalchemy",
    "dask": "toolz cloudpickle|pyyaml",
    "black": "click pathspec|appdirs",
}
# Nobody names these by hand, or hardly ever.
DEEP = frozenset(
    [
        "certifi",
        "idna",
        "urllib3",
        "charset-normalizer",
        "chardet",
        "six",
        "pyparsing",
        "cycler",
        "kiwisolver",
        "markupsafe",
        "itsdangerous",
        "python-dateutil",
        "pytz",
        "threadpoolctl",
        "typing-extensions",
        "zipp",
        "importlib-metadata",
        "packaging",
        "pluggy",
        "iniconfig",
        "absl-py",
        "astunparse",
        "gast",
        "google-pasta",
        "opt-einsum",
        "wrapt",
        "pyasn1",
        "pyasn1-modules",
        "rsa",
        "cachetools",
        "oauthlib",
        "requests-oauthlib",
        "traitlets",
        "parso",
        "jedi",
        "pickleshare",
        "backcall",
        "decorator",
        "ptyprocess",
        "pexpect",
        "prompt-toolkit",
        "wcwidth",
        "pycparser",
        "cffi",
        "webencodings",
        "bleach",
        "mistune",
        "entrypoints",
        "pandocfilters",
        "pyrsistent",
        "attrs",
        "jsonschema",
        "defusedxml",
        "smmap",
        "gitdb",
        "sniffio",
        "anyio",
        "h11",
        "annotated-types",
        "mpmath",
        "sympy",
        "networkx",
        "filelock",
        "fsspec",
        "contourpy",
        "fonttools",
        "tzdata",
        "greenlet",
        "mako",
        "frozenlist",
        "multidict",
        "yarl",
        "aiosignal",
        "async-timeout",
        "executing",
        "asttokens",
        "pure-eval",
        "stack-data",
    ]
)
CONDA = frozenset(
    [
        "openssl",
        "ca-certificates",
        "libgcc-ng",
        "libstdcxx-ng",
        "ncurses",
        "readline",
        "tk",
        "xz",
        "zlib",
        "sqlite",
        "libffi",
        "ld-impl-linux-64",
        "libcxx",
        "vc",
        "vs2015-runtime",
        "setuptools",
        "wheel",
        "pip",
        "bzip2",
        "libgcc",
        "libzlib",
        "certifi",
        "intel-openmp",
        "mkl",
    ]
)


def is_closed(names: Collection[str]) -> bool:
    """Whether pinned names are a freeze: what is known to be needed is there, and some that nobody names.

    A short list of pins happens to be closed; so some must be packages that nobody names by hand: two
    and a tenth of the list, or three and a fifth where it has no package that is known.
    """
    names = set(names)
    known = [name for name in names if name in NEEDS]
    missing = sum(1 for name in known for need in NEEDS[name].split() if not set(need.split("|")) & names)
    needs = sum(len(NEEDS[name].split()) for name in known)
    deep = len(names & DEEP)
    if needs and missing > 0.1 * needs:
        return False
    if known:
        return deep >= 2 and deep >= 0.1 * len(names)
    return deep >= 3 and deep >= 0.2 * len(names)


def is_closed_conda(names: Collection[str]) -> bool:
    """Whether pinned names are an export of a whole environment of conda."""
    return len(set(names) & CONDA) >= 4
