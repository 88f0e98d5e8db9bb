"""Secrets: names to read, values to write and never to read back."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer, answers
from houses.finding import found
from houses.models import Secret
from houses.secrets import LONGEST


class SecretSerializer(serializers.Serializer[Any]):
    """A secret's name."""

    name = serializers.CharField()
    created_at = serializers.DateTimeField()


class SecretValueSerializer(Strict):
    """A secret's value."""

    value = serializers.CharField(max_length=LONGEST, trim_whitespace=False)


class SecretsView(HouseView):
    @operation("list_secrets", "houses", gives=SecretSerializer(many=True))
    def get(self, request: Request, house: str) -> Response:
        """The names of the house's secrets."""
        return answers(SecretSerializer, Secret.objects.order_by("name"))


class SecretView(HouseView):
    @operation("put_secret", "houses", takes=SecretValueSerializer, gives=SecretSerializer)
    def put(self, request: Request, house: str, name: str) -> Response:
        """Keep a value under a name; one that was there is forgotten. Owners only."""
        secret = Secret.objects.put(name, self.sent(SecretValueSerializer)["value"], by=self.agent)
        secret.refresh_from_db()
        return answer(SecretSerializer, secret)

    @operation("forget_secret", "houses")
    def delete(self, request: Request, house: str, name: str) -> Response:
        """Forget a secret; owners only."""
        found(Secret.objects.all(), name=name).forget(by=self.agent)
        return Response(status=204)
