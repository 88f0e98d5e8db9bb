"""Tokens: how bots and command lines come in."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answers
from houses.finding import found
from houses.models import Member, Token


class TokenSerializer(serializers.Serializer[Any]):
    """A token, without its text."""

    id = serializers.CharField()
    name = serializers.CharField()
    agent = AgentSerializer()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class NewTokenSerializer(Strict):
    """A token to be made, for yourself or for a bot of the house."""

    name = serializers.CharField(max_length=200, required=False, default="token")
    agent = serializers.UUIDField(required=False, help_text="A bot of the house; without it the token is yours.")
    expires_at = serializers.DateTimeField(required=False, help_text="In 90 days, if not said.")

    def validate_expires_at(self, value: Any) -> Any:
        if value <= timezone.now():
            raise serializers.ValidationError("This time has passed.")
        return value


class MintedSerializer(TokenSerializer):
    """A token that was just made."""

    text = serializers.CharField(help_text="What to send as `Authorization: Bearer …`. Shown this once.")


class TokensView(HouseView):
    @operation("list_tokens", "houses", gives=TokenSerializer(many=True))
    def get(self, request: Request, house: str) -> Response:
        """Every token of the house, newest first; texts are never shown again."""
        return answers(TokenSerializer, Token.objects.select_related("agent").order_by("-created_at"))

    @operation("mint_token", "houses", takes=NewTokenSerializer, gives=MintedSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Make a token. Owners make them for bots, everybody for themselves; none outlives the token that asks."""
        new = self.sent(NewTokenSerializer)
        member = found(Member.objects.select_related("agent"), agent_id=new.get("agent", self.agent.pk))
        expires_at = new.get("expires_at")
        if isinstance(request.auth, Token):  # what lives for a day does not make what lives for a year
            expires_at = min(expires_at or request.auth.expires_at, request.auth.expires_at)
        token, text = Token.objects.mint(member.agent, new["name"], by=self.agent, expires_at=expires_at)
        token.refresh_from_db()
        return Response({**TokenSerializer(token).data, "text": text}, status=201)


class TokenView(HouseView):
    @operation("revoke_token", "houses")
    def delete(self, request: Request, house: str, token: str) -> Response:
        """Revoke a token; whoever holds it is out at once."""
        found(Token.objects.all(), pk=token).revoke(by=self.agent)
        return Response(status=204)
