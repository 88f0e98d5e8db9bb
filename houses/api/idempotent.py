"""Doing it once: a POST with an `Idempotency-Key` that comes again gets the answer it got, and nothing is done again.

Where the view runs in one transaction, the key is claimed and the answer kept in that very transaction: a crash leaves
neither the work nor the claim, and a retry is the first. Where the view opens the house itself (`stays_inside=False`),
nothing is claimed: the key is locked while the request is answered, and the answer is kept at the end. Should the
process die in between, the lock goes with its connection and a retry runs again, so what such a view does has to refuse
or to be harmless when it is done twice, as after any crash. Refusals and bugs are not kept.

An answer is given again only to the credential that got it, and only while its agent may still see what it tells of:
`reachable` of the view asks that.
"""

import json
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.http.request import RawPostDataException
from django.utils.crypto import salted_hmac
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from houses import vault
from houses.credentials import Token
from houses.idempotency import KeptAnswer, OneAtATime
from houses.refusals import Invalid

if TYPE_CHECKING:
    from houses.api.view import AgentView

HEADER, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"
LONGEST = 200  # characters
Method = Callable[..., Any]


def once(view: "AgentView", method: Method) -> Method:
    """The method, as a retry may call it."""

    @wraps(method)
    def answer(request: Request, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None or request.method != "POST":
            return method(request, *args, **kwargs)
        how = _in_one_transaction if view.stays_inside else _around_several
        return how(view, _checked(key), lambda: method(request, *args, **kwargs))

    return answer


def _in_one_transaction(view: "AgentView", key: str, work: Callable[[], Response]) -> Response:
    kept = KeptAnswer.objects.claim(view.agent.pk, key, _asked(view))
    if kept is not None:
        return _replayed(view, kept)
    response = work()
    _keep(view, key, response)
    return response


def _around_several(view: "AgentView", key: str, work: Callable[[], Response]) -> Response:
    asked, agent_id = _asked(view), view.agent.pk
    with OneAtATime(agent_id, key):
        with view.inside():
            kept = KeptAnswer.objects.answered(agent_id, key, asked)
            if kept is not None:
                return _replayed(view, kept)
        response = work()
        with view.inside():
            KeptAnswer.objects.claim(agent_id, key, asked)
            _keep(view, key, response)
    return response


def _keep(view: "AgentView", key: str, response: Response) -> None:
    if response.status_code >= 300:
        KeptAnswer.objects.filter(agent_id=view.agent.pk, key=key).delete()
        return
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    told = json.dumps({"data": JSONRenderer().render(response.data).decode(), "headers": headers})
    box = vault.seal(told.encode(), to=_about(view.agent.pk, key))
    KeptAnswer.objects.keep(view.agent.pk, key, status=response.status_code, box=box)


def _replayed(view: "AgentView", kept: KeptAnswer) -> Response:
    told = json.loads(vault.unseal(bytes(kept.box or b""), to=_about(kept.agent_id, kept.key)))
    data = json.loads(told["data"]) if told["data"] else None
    view.reachable(data)
    return Response(data, status=kept.status, headers={**told["headers"], REPLAYED: "true"})


def _asked(view: "AgentView") -> str:
    """A digest of all that makes this request what it is; another credential of the same agent asks something else."""
    request, auth = view.request._request, view.request.auth
    credential = auth.pk if isinstance(auth, Token) else "session"
    try:
        body = request.body
    except RawPostDataException:  # a form, which the CSRF check has read; no view takes forms
        body = b""
    digest = salted_hmac("arbe.asked", body, algorithm="sha256").hexdigest()
    said = json.dumps([request.method, request.get_full_path(), credential, view.agent.cap, digest])
    return salted_hmac("arbe.asked", said, algorithm="sha256").hexdigest()


def _about(agent_id: object, key: str) -> str:
    return f"kept answer {agent_id} {key}"


def _checked(key: str) -> str:
    if not 0 < len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise Invalid(f"The Idempotency-Key has to be 1 to {LONGEST} printable ASCII characters.")
    return key
