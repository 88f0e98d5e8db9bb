"""Counts requests as they pass: by the name of their address, never by what is in it."""

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest, HttpResponse

from houses.measures import REQUEST_SECONDS, REQUESTS, SIGN_IN_FAILURES

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Measured:
    """The outermost middleware, so that whatever answers is counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        user_login_failed.connect(_failed)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        route = route_of(request)
        # Whoever asks can make a method up.
        method = str(request.method) if request.method in METHODS else "other"
        REQUESTS.labels(route, method, response.status_code).inc()
        REQUEST_SECONDS.labels(route).observe(time.perf_counter() - began)
        return response


def route_of(request: HttpRequest) -> str:
    """The name of the address, or its pattern; `unknown` where there is nothing."""
    match = request.resolver_match
    return (match.view_name if match.url_name else match.route) if match else "unknown"


def _failed(**_: Any) -> None:
    SIGN_IN_FAILURES.inc()
