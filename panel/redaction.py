"""What must not appear in the log, nor in Django's reports of errors."""

from __future__ import annotations

import logging
import re

from django.views.debug import SafeExceptionReporterFilter

_NAMES = "DATABASE|EMAIL|HUEY|PAYMENT_VARIANTS|QUEUE|COOKIE"
# What follows these in an address is as good as a password; the name of a gateway is not.
_KEY = re.compile(r"(/reset/key/|/confirm-email/|/payments/process/(?![a-z-]+/?\Z)).+", re.DOTALL)


def without_keys(text: str) -> str:
    """An address, or what ends with one, without what lets anybody in. Whether it leads anywhere
    makes no difference: a key is good for as long as nobody has used it."""
    return _KEY.sub(r"\1-", text)


class KeyFilter(logging.Filter):
    """Django writes the address as it came, with an error and where a form is refused."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                without_keys(part) if isinstance(part, str) else part for part in record.args
            )
        return True


class ReportFilter(SafeExceptionReporterFilter):
    """Passwords stand in addresses, too, and every gateway calls its keys what it likes."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|{_NAMES}", re.IGNORECASE
    )
