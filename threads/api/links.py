"""Read links: letting somebody outside, or a cache in front of them, read one thread's stream for a while."""

from datetime import timedelta
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.schema import operation
from houses.api.view import Strict, answer
from houses.models import Token
from streams.links import LONGEST
from threads.api.threads import ThreadView

DAY = 24 * 3600  # seconds


class NewLinkSerializer(Strict):
    """How long a link is to live."""

    expires_in = serializers.IntegerField(
        required=False, default=DAY, min_value=1, max_value=LONGEST, help_text="Seconds; 30 days at the most."
    )


class LinkSerializer(serializers.Serializer[Any]):
    """A read link, which is kept nowhere: this is the one time it is told."""

    url = serializers.CharField(help_text="Whoever has it reads the thread's stream; `offset`, `live` … may be added.")
    expires_at = serializers.DateTimeField()


class LinksView(ThreadView):
    @operation("make_link", "threads", takes=NewLinkSerializer, gives=LinkSerializer, status=201)
    def post(self, request: Request, house: str, thread: str) -> Response:
        """Make a link that reads the thread's stream without signing in, for a person outside or for a CDN.

        It takes w, and is told in the thread. It ends when it expires, with the token that asked for it, and as soon
        as its maker may not read the thread any more; a cache in front may show old pages for six minutes longer.
        """
        life = timedelta(seconds=self.sent(NewLinkSerializer)["expires_in"])
        asked_with = request.auth if isinstance(request.auth, Token) else None
        url, expires_at = self.thread.share(life, by=self.agent, asked_with=asked_with)
        return answer(LinkSerializer, {"url": url, "expires_at": expires_at}, 201)
