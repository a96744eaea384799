"""Counts what gateways report: how much was news, how much came twice, how much was refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from payments import PaymentError

from orders.models import NoticeCount

logger = logging.getLogger(__name__)

# Whether the notice that is being answered has changed a payment.
_is_news: ContextVar[bool] = ContextVar("is_news")


def notice(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorates a view to which a gateway reports: each report is counted. Nobody signs in for it:
    a gateway signs what it sends. A report that its provider does not accept is refused, and
    changes nothing. For a gateway that reports elsewhere it is a 404."""

    @login_not_required
    @wraps(view)
    def taken(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        _is_news.set(False)
        outcome = NoticeCount.Outcome.REFUSED
        try:
            response = view(request, *args, **kwargs)
            if response.status_code < 400:
                accepted, duplicate = NoticeCount.Outcome.ACCEPTED, NoticeCount.Outcome.DUPLICATE
                outcome = accepted if _is_news.get() else duplicate
            return response
        except PaymentError as error:
            # The view's transaction ends within the view: it is rolled back by now. Anybody may
            # send such a notice, so it is worth a line, and no traceback.
            logger.warning("a payment notice was refused: %s", error)
            return HttpResponse(status=_status(error))
        except NotImplementedError as error:
            raise Http404("this gateway reports elsewhere") from error
        finally:
            _count(outcome)

    return taken


def payment_changed(**_: Any) -> None:
    """A payment was changed: if by a notice, this was its first."""
    _is_news.set(True)


def _status(error: PaymentError) -> int:
    """Providers give a status of HTTP, a word of the gateway's, or nothing."""
    code = str(error.code)
    return int(code) if re.fullmatch("[45][0-9][0-9]", code) else 400


def _count(outcome: str) -> None:
    NoticeCount.objects.get_or_create(pk=outcome)
    NoticeCount.objects.filter(pk=outcome).update(count=F("count") + 1)
