"""What must not appear in the log, nor in Django's reports of errors."""

from __future__ import annotations

import logging
import re

from django.views.debug import SafeExceptionReporterFilter

_NAMES = "DATABASE|EMAIL|HUEY|PAYMENT_VARIANTS|QUEUE|COOKIE"
# What follows these in an address is as good as a password; the name of a gateway is not.
_KEY = re.compile(r"(/reset/key/|/confirm-email/|/payments/process/(?![a-z-]+/?\Z)).+", re.DOTALL)


def without_keys(text: str) -> str:
    """An address, or a text that ends with one, without the keys in it that let anybody in. They
    are left out of an address that leads nowhere, too: a key is good until somebody uses it."""
    return _KEY.sub(r"\1-", text)


class KeyFilter(logging.Filter):
    """Takes the keys out of what Django itself logs: the whole address, with an error and where a
    form is refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                without_keys(part) if isinstance(part, str) else part for part in record.args
            )
        return True


class ReportFilter(SafeExceptionReporterFilter):
    """Hides more settings than Django does: those with a password in an address, and those of the
    gateways, which call their keys what they like."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|{_NAMES}", re.IGNORECASE
    )
