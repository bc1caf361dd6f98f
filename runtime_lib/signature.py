"""Signatures of webhooks, as Standard Webhooks has them and MLflow makes them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: HMAC-SHA256 of
`id.timestamp.body`, in base64 behind `v1,`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

__all__ = ["key_of", "sign"]

_PREFIX = "whsec_"


def sign(key: bytes, name: bytes, time: bytes, body: bytes) -> bytes:
    """Return the signature of one delivery.

    Args:
        name: the delivery's id, the same for each try.
        time: when this try is made, in whole seconds since 1970.
        body: as it is sent, byte for byte.
    """
    digest = hmac.new(key, b".".join((name, time, body)), hashlib.sha256).digest()
    return b"v1," + base64.b64encode(digest)


def key_of(secret: str) -> bytes:
    """The key in a secret: what follows `whsec_`, in base64; or, without that, the text itself.

    Raises:
        ValueError: no base64 follows; the secret is not repeated.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"begins with {_PREFIX}, and no base64 follows: copy it again") from None
