"""Webhooks are signed, and anyone with the secret can verify it: by openssl, and by what the docs say."""

from __future__ import annotations

import base64
import re
import subprocess
import time
from pathlib import Path

import pytest

from runtime_lib.monitoring.alerts.notify import notify
from runtime_lib.signature import key_of, sign
from tests.support.alerts import NOW, drift, webhook
from tests.support.receivers import receiving

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
DOCS = Path(__file__).parents[3] / "docs" / "alerts.md"


@pytest.fixture(params=[SECRET, "a text of one's own ü"])
def sent(request, project):
    """One signed request, and the key it was signed with."""
    with receiving() as ops:
        text, environ = webhook("ops", ops.url)
        environ["MLOPS_MONITORING__ALERTS__OPS__SECRET"] = request.param
        notify(project(text, **environ), [drift("speed 5 % → 9 %")], source="monitor", now=NOW)
    [found] = ops.requests
    return found, KEY if request.param == SECRET else request.param.encode(), request.param


def test_openssl_makes_the_same_signature(sent):
    request, key, _ = sent
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    digest = subprocess.run(command, input=signed, capture_output=True, check=True).stdout
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 600


def _verify():
    """The function of the page."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    [code] = [block for block in blocks if "def verify" in block]
    names: dict = {}
    exec(code, names)
    return names["verify"]


def test_what_the_docs_say_verifies_it_and_refuses_what_was_changed_or_is_old(sent):
    request, _, secret = sent
    verify, headers = _verify(), dict(request.headers)
    assert verify(headers, request.body, secret)
    assert not verify(headers, request.body + b" ", secret)
    assert not verify(headers, request.body, "another secret")
    assert not verify({**headers, "webhook-id": "other"}, request.body, secret)
    assert not verify({**headers, "webhook-timestamp": str(int(time.time()) - 3600)}, request.body, secret)
    assert not verify({**headers, "webhook-signature": "v1,"}, request.body, secret)


def test_the_example_of_standard_webhooks():
    # From https://github.com/standard-webhooks/standard-webhooks, its libraries' tests.
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = sign(key_of(secret), b"msg_p5jXN8AQM9LWM0D4loKWxJek", b"1614265330", b'{"test": 2432232314}')
    assert found == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_without_a_secret_is_not_signed_and_has_an_id_all_the_same(project):
    with receiving() as ops:
        text, environ = webhook("ops", ops.url)
        notify(project(text, **environ), [drift("speed")], source="monitor", now=NOW)
    headers = ops.requests[0].headers
    assert "webhook-signature" not in headers
    assert headers["webhook-id"] == ops.bodies[0]["id"]
