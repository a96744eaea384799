"""What Django's reports of errors leave out, besides what they leave out by themselves."""

from __future__ import annotations

import re

from django.views.debug import SafeExceptionReporterFilter

_NAMES = "DATABASE|EMAIL|HUEY|PAYMENT_VARIANTS|QUEUE|COOKIE"


class ReportFilter(SafeExceptionReporterFilter):
    """Passwords stand in addresses, too, and every gateway calls its keys what it likes."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|{_NAMES}", re.IGNORECASE
    )
