"""What the panel cannot make sense of gets a page, and the log one line; not of outages."""

from __future__ import annotations

import logging

import pytest
from django.test import Client


def test_of_a_host_that_is_not_ours_the_log_says_in_one_line_which_setting_would_let_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = Client(headers={"host": "evil.example"}).get("/orders/?page=2").content.decode()
    assert "Berth does not answer to this address" in page
    [line] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == (
        "400 GET /orders/: asked for at the host 'evil.example', which is neither that of "
        "BERTH_URL nor one of BERTH_HOSTS"
    )
    assert line.exc_info is None


def test_what_cannot_be_read_gets_a_page_as_well(as_lena: Client) -> None:
    answer = as_lena.post("/orders/new/", "half", content_type="multipart/form-data; boundary=")
    assert answer.status_code == 400
    assert "Berth could not read what was sent" in answer.content.decode()
