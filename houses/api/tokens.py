"""Tokens: how bots and command lines come in."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import Agent
from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.credentials import GRACE
from houses.finding import found
from houses.models import Member, Token


class TokenSerializer(serializers.Serializer[Any]):
    """A token, without its text."""

    id = serializers.CharField()
    name = serializers.CharField()
    agent = AgentSerializer()
    bits = serializers.CharField(help_text="It may do no more than these of r, w and x, whatever its agent may.")
    created_by = AgentSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class TokenPageSerializer(PageSerializer):
    """Some tokens."""

    results = TokenSerializer(many=True)


class TokenQuery(PageQuery):
    """Which tokens."""

    agent = serializers.UUIDField(required=False)
    live = serializers.BooleanField(required=False, allow_null=True, default=None)


class NewTokenSerializer(Strict):
    """A token to be made, for yourself or for a bot of the house."""

    name = serializers.CharField(max_length=200, required=False, default="token")
    agent = serializers.UUIDField(required=False, help_text="A bot of the house; without it the token is yours.")
    bits = serializers.CharField(
        required=False, max_length=3, help_text="Some of r, w and x; all that you may yourself, if not said."
    )
    expires_at = serializers.DateTimeField(
        required=False, help_text="In 90 days, if not said; within a year, and not after the token that asks."
    )

    def validate_expires_at(self, value: Any) -> Any:
        if value <= timezone.now():
            raise serializers.ValidationError("This time has passed.")
        return value


class RotationSerializer(Strict):
    """How long the old token may go on."""

    grace_seconds = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=int(GRACE.total_seconds())
    )


class MintedSerializer(TokenSerializer):
    """A token that was just made."""

    text = serializers.CharField(help_text="What to send as `Authorization: Bearer …`. Shown this once.")


class TokensView(HouseView):
    needs = None  # everybody in the house has tokens of their own

    @operation("list_tokens", "houses", query=TokenQuery, gives=TokenPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """Your tokens, newest first, or with x on the house everybody's; texts are never shown again."""
        query, tokens = self.asked(TokenQuery), tokens_for(self.agent)
        if "agent" in query:
            tokens = tokens.filter(agent_id=query["agent"])
        if query["live"] is not None:
            live = Token.objects.live().values("pk")
            tokens = tokens.filter(pk__in=live) if query["live"] else tokens.exclude(pk__in=live)
        return page(tokens, TokenSerializer, query, by="created_at")

    @operation("mint_token", "houses", takes=NewTokenSerializer, gives=MintedSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Make a token: everybody for themselves, with x on the house for bots.

        It may do no more than the token that asks, and does not outlive it.
        """
        new = self.sent(NewTokenSerializer)
        member = found(Member.objects.select_related("agent"), agent_id=new.pop("agent", self.agent.pk))
        return _minted(Token.objects.mint(member.agent, by=self.agent, asked_with=_asking(request), **new))

    def reachable(self, told: Any) -> None:
        _still_known(self.agent, told)


class TokenView(HouseView):
    needs = None
    row = Token, "pk", "token"
    tag_without = ("last_used_at",)  # which changes by the very asking

    @operation("get_token", "houses", gives=TokenSerializer)
    def get(self, request: Request, house: str, token: str) -> Response:
        """One token, without its text."""
        return answer(TokenSerializer, found(tokens_for(self.agent), pk=token))

    @operation("revoke_token", "houses")
    def delete(self, request: Request, house: str, token: str) -> Response:
        """Revoke a token; whoever holds it is out at once."""
        found(tokens_for(self.agent), pk=token).revoke(by=self.agent, asked_with=_asking(request))
        return Response(status=204)


class TokenRotationView(HouseView):
    needs = None

    @operation("rotate_token", "houses", takes=RotationSerializer, gives=MintedSerializer, status=201)
    def post(self, request: Request, house: str, token: str) -> Response:
        """Another token in the place of this one, for as long again; the old one ends at once, or after the grace."""
        grace = timedelta(seconds=self.sent(RotationSerializer)["grace_seconds"])
        one = found(tokens_for(self.agent), pk=token)
        return _minted(one.rotate(by=self.agent, grace=grace, asked_with=_asking(request)))

    def reachable(self, told: Any) -> None:
        _still_known(self.agent, told)


def tokens_for(agent: Agent) -> QuerySet[Token]:
    return Token.objects.known_to(agent).select_related("agent", "created_by")


def _still_known(agent: Agent, told: Any) -> None:
    """A text is shown again only while it opens something, to whoever may know of the token."""
    found(tokens_for(agent).filter(pk__in=Token.objects.live().values("pk")), pk=told["id"])


def _asking(request: Request) -> Token | None:
    return request.auth if isinstance(request.auth, Token) else None


def _minted(minted: tuple[Token, str]) -> Response:
    token, text = minted
    token.refresh_from_db()
    return Response({**TokenSerializer(token).data, "text": text}, status=201)
