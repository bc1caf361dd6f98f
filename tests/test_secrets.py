"""One place removes passwords from texts."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from runtime_lib import secrets
from runtime_lib.secrets import hide, is_encoded, password_of, without_secrets

PASSWORD = "pw-SECRET/@:#?%&+ ü"
ENCODED = quote(PASSWORD, safe="")


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(secrets, "_known", set())


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("at https://me:pw@host:1/x failed", "at https://host:1/x failed"),
        ("git+https://me:pw@host/a.git@v1", "git+https://host/a.git@v1"),
        ("see https://token@host/a, twice https://token@host/b", "see https://host/a, twice https://host/b"),
        ("git+ssh://git@host/a.git", "git+ssh://git@host/a.git"),
        ("ssh://me:pw@host/a.git", "ssh://me@host/a.git"),
        ("wasbs://box@store.blob.core.windows.net/a", "wasbs://box@store.blob.core.windows.net/a"),
        ("postgresql+psycopg://u:p@w@host/db", "postgresql+psycopg://host/db"),
        ("postgresql://u:p/w?#@host/db", "postgresql://host/db"),
        ("http://host:8080/a@v1", "http://host:8080/a@v1"),
        ("https://host/a?token=abc&x=1", "https://host/a?token=…&x=…"),
        ("http://host/a?token=1 (x)", "http://host/a?token=… (x)"),
        ("nothing here: a@b", "nothing here: a@b"),
        ("mail me@example.org", "mail me@example.org"),
    ],
)
def test_secrets_of_an_address_are_removed(text, bare):
    assert without_secrets(text) == bare


@pytest.mark.parametrize("spelt", [PASSWORD, ENCODED, quote(PASSWORD), quote_plus(PASSWORD), repr(PASSWORD)])
def test_a_known_password_is_removed_however_it_is_spelt(spelt):
    assert "SECRET" in without_secrets(f"invalid literal: {spelt}")
    hide(f"postgresql://me:{ENCODED}@host/db")
    assert "SECRET" not in without_secrets(f"invalid literal: {spelt}")


def test_the_password_of_a_variable_and_the_path_of_a_webhook_are_known(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "of the variable")
    hide("https://hooks.example.org/services/T0/B0/abcdefgh")
    said = without_secrets("of the variable, https://hooks.example.org/services/T0/B0/abcdefgh")
    assert said == "…, https://hooks.example.org…"


def test_a_mistyped_address_keeps_its_password_to_itself():
    said = 'missing "=" after "postgresql//analyst:grouse-42@db:5432/warehouse" in connection info'
    shown = 'missing "=" after "postgresql//db:5432/warehouse" in connection info'
    assert without_secrets(said) == shown


@pytest.mark.parametrize("address", ["postgresql://me:a/b@host/db", "http://u:pw@h", "http://u:p@w@h"])
def test_a_password_is_found_where_it_was_not_encoded(address):
    assert password_of(address) in ("a/b", "pw", "p@w")


@pytest.mark.parametrize("character", "/@:#?% ")
def test_an_address_with_a_character_that_must_be_encoded_is_known_by_it(character):
    for scheme in ("http", "postgresql+psycopg"):
        assert not is_encoded(f"{scheme}://me:a{character}b@host:1/db")
        assert is_encoded(f"{scheme}://me:a{quote(character, safe='')}b@host:1/db")


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///var/m l@f:low.db",
        "http://[::1]:5000",
        "http://host",
        "var/artifacts",
        "s3://bucket/a@b:c",
        "postgresql://host/db?password=a@b",
        "postgresql+psycopg:///db?host=/tmp",
        "wasbs://box@store/a",
    ],
)
def test_addresses_without_a_login_need_no_encoding(address):
    assert is_encoded(address)


def test_what_a_command_prints_unasked_holds_no_password():
    script = (
        "import logging, threading, warnings, sys; from runtime_lib import secrets\n"
        "secrets.guard(); secrets.hide('http://u:geheim@host')\n"
        "logging.warning('at %s', 'geheim')\n"
        "warnings.warn('geheim')\n"
        "try:\n    raise OSError('geheim')\n"
        "except OSError:\n    logging.exception('x')\n"
        "thread = threading.Thread(target=lambda: int('geheim')); thread.start(); thread.join()\n"
        "raise ValueError('geheim')\n"
    )
    # From a file the traceback would quote the script's own line.
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True)
    assert done.stderr.count("…") == 5
    assert "geheim" not in done.stderr
