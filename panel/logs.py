"""What a line of the log looks like: for a person in a terminal, or JSON for a machine."""

from __future__ import annotations

import sys
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

FORMATS = ("line", "json")
# What a line may say beside its text. Anything else that a library hands over, like a whole
# request with what was typed into its form, stays out of the log.
FIELDS = (
    "attempts", "container", "error", "kind", "method", "ms", "node", "operation", "outcome",
    "path", "request_id", "seconds", "server", "status",
)  # fmt: skip


def configuration(level: str, form: str) -> dict[str, Any]:
    """The setting LOGGING. Every line bears what is bound in structlog's context: the id of
    the request, the number of the operation, the person, the node."""
    processors: list[Any]
    if form == "json":
        processors = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        processors = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": ProcessorFormatter,
                "foreign_pre_chain": [
                    structlog.contextvars.merge_contextvars,
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(allow=FIELDS),
                    structlog.processors.TimeStamper(fmt="iso"),
                ],
                "processors": [ProcessorFormatter.remove_processors_meta, *processors],
            }
        },
        "filters": {"keys": {"()": "panel.redaction.KeyFilter"}},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["keys"],
            }
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # In detail these write what was sent and answered: payments, events of nodes.
            **{name: {"level": "WARNING"} for name in ("httpx", "stripe", "urllib3", "websockets")},
            "huey": {"level": "WARNING", "handlers": ["console"], "propagate": False},
            # What was not found or not allowed is told by the request's own line.
            "django.request": {"level": "ERROR"},
        },
    }
