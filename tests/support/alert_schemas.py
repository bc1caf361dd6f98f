"""What PagerDuty, Slack and Alertmanager say that they take, as JSON schemas."""

from __future__ import annotations

from typing import Any

__all__ = ["ALERTMANAGER", "PAGERDUTY", "SLACK"]


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most, **more}


# RFC 3339, which "date-time" stands for; a validator need not look at formats.
_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}

# Fields, words and what is required: PagerDuty/api-schema, reference/events-v2/openapiv3.json (API 2.0).
# Lengths: https://developer.pagerduty.com/docs/events-api-v2-overview and docs/send-alert-event.
PAGERDUTY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": _text(255),
        "client": {"type": "string"},
        "client_url": {"type": "string", "format": "uri"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
        "images": {"type": "array", "items": {"type": "object", "required": ["src"]}},
        "payload": {
            "type": "object",
            "required": ["summary", "severity", "source"],
            "additionalProperties": False,
            "properties": {
                "summary": _text(1024),
                "timestamp": _TIME,
                "severity": {"enum": ["critical", "warning", "error", "info"]},
                "source": {"type": "string", "minLength": 1},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    # "Required unless the event_type is trigger"; a trigger without a payload is refused.
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}

_MARKDOWN = {"type": {"const": "mrkdwn"}, "verbatim": {"type": "boolean"}}


def _mrkdwn(most: int) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "text"],
        "additionalProperties": False,
        "properties": {**_MARKDOWN, "text": _text(most)},
    }


def _block(kind: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {"type": {"const": kind}, "block_id": _text(255), **properties},
        "anyOf": [{"required": [name]} for name in required],
    }


# https://docs.slack.dev/reference/block-kit/blocks (header-block, section-block, context-block), the text
# object in reference/block-kit/composition-objects/text-object, and 50 blocks to a message.
SLACK: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["text", "blocks"],
    "additionalProperties": False,
    "properties": {
        "text": _text(40_000),
        "blocks": {
            "type": "array",
            "minItems": 1,
            "maxItems": 50,
            "items": {
                "oneOf": [
                    _block(
                        "header",
                        ["text"],
                        text={
                            "type": "object",
                            "required": ["type", "text"],
                            "additionalProperties": False,
                            "properties": {
                                "type": {"const": "plain_text"},
                                "text": _text(150),
                                "emoji": {"type": "boolean"},
                            },
                        },
                    ),
                    _block(
                        "section",
                        ["text", "fields"],
                        text=_mrkdwn(3000),
                        fields={"type": "array", "minItems": 1, "maxItems": 10, "items": _mrkdwn(2000)},
                    ),
                    _block(
                        "context",
                        ["elements"],
                        elements={"type": "array", "minItems": 1, "maxItems": 10, "items": _mrkdwn(3000)},
                    ),
                ]
            },
        },
    },
}

_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}

# prometheus/alertmanager, api/v2/openapi.yaml: postableAlerts.
ALERTMANAGER: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": {
                **_LABELS,
                "required": ["alertname"],
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
            },
            "annotations": _LABELS,
            "startsAt": _TIME,
            "endsAt": _TIME,
            "generatorURL": {"type": "string", "format": "uri-reference"},
        },
    },
}
