"""Secrets: names to read, values to write and never to read back."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.models import Secret
from houses.secrets import LONGEST


class SecretSerializer(serializers.Serializer[Any]):
    """A secret's name, and when its value was last replaced; never the value."""

    name = serializers.CharField()
    version = serializers.IntegerField(help_text="Goes up with every new value.")
    created_at = serializers.DateTimeField()
    rotated_at = serializers.DateTimeField(allow_null=True, help_text="When the value before this one was replaced.")
    rotated_by = AgentSerializer(allow_null=True)


class SecretPageSerializer(PageSerializer):
    """Some secrets."""

    results = SecretSerializer(many=True)


class SecretValueSerializer(Strict):
    """A secret's value."""

    value = serializers.CharField(max_length=LONGEST, trim_whitespace=False)


class SecretsView(HouseView):
    @operation("list_secrets", "houses", query=PageQuery, gives=SecretPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The names of the house's secrets."""
        return page(
            Secret.objects.select_related("rotated_by"), SecretSerializer, self.asked(PageQuery), order=["name"]
        )


class SecretView(HouseView):
    @operation("get_secret", "houses", gives=SecretSerializer)
    def get(self, request: Request, house: str, name: str) -> Response:
        """A secret's name, and when it was put in."""
        return answer(SecretSerializer, found(Secret.objects.all(), name=name))

    @operation("put_secret", "houses", takes=SecretValueSerializer, gives=SecretSerializer)
    def put(self, request: Request, house: str, name: str) -> Response:
        """Keep a value under a name; one that was there is forgotten. Takes x on the house."""
        secret = Secret.objects.put(name, self.sent(SecretValueSerializer)["value"], by=self.agent)
        secret.refresh_from_db()
        return answer(SecretSerializer, secret)

    @operation("forget_secret", "houses")
    def delete(self, request: Request, house: str, name: str) -> Response:
        """Forget a secret; what requires it is refused from then on. Takes x on the house."""
        found(Secret.objects.all(), name=name).forget(by=self.agent)
        return Response(status=204)
