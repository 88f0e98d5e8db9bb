"""Letting somebody outside read along: a trait of `Thread`."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from houses.agents import Agent
from houses.credentials import Token
from houses.refusals import Forbidden, Invalid, Refused
from houses.rights import require
from houses.scopes import W
from streams.links import LONGEST, Link
from streams.outbox import announce
from threads.conversation import Told
from threads.events import ThreadLinkMade

MOST = timedelta(seconds=LONGEST)


class NoLinks(Refused):
    """This installation has no key to sign with."""

    code = "no_links"
    status = 503


class Shared(Told):
    """A read link shows the log to whoever has it, while whoever made it may read it themselves."""

    class Meta:
        abstract = True

    @transaction.atomic
    def share(self, life: timedelta, *, by: Agent, asked_with: Token | None = None) -> tuple[str, datetime]:
        """The address of a read link, and when it ends: after `life`, at the latest with the token that asked.

        It takes w: to let the log out is more than to read it. Raises `Invalid`, `NoLinks`.
        """
        require(by, W, self)
        if by.within:
            raise Forbidden("The token of a run makes no links; it goes when the run rests, and a link would stay.")
        if not timedelta(0) < life <= MOST:
            raise Invalid(f"A read link lives for {MOST.days} days at the most.")
        if not settings.STREAMS_KEY:
            raise NoLinks("This installation cannot sign links: its operator has to set ARBE_STREAMS_KEY.")
        ends = (timezone.now() + life).replace(microsecond=0)
        if asked_with is not None:
            ends = min(ends, asked_with.expires_at.replace(microsecond=0))
        link = Link(
            self.house_id, self.stream_id, str(by.pk), int(ends.timestamp()), asked_with.pk if asked_with else ""
        )
        announce(self, ThreadLinkMade(expires_at=ends.isoformat().replace("+00:00", "Z")), by=by)
        return link.address(settings.ARBE_URL, settings.STREAMS_KEY), ends
