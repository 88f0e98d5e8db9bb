"""Environments: the recipes of machines."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.paging import PageQuery, PageSerializer, named, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from sandboxes.models import Environment


class LimitsSerializer(Strict):
    """How much one command may use; what is left out has a usual value."""

    memory_mb = serializers.IntegerField(min_value=1, required=False)
    cpu_seconds = serializers.IntegerField(min_value=1, required=False)
    processes = serializers.IntegerField(min_value=1, required=False)
    file_mb = serializers.IntegerField(min_value=1, required=False)
    wall_seconds = serializers.FloatField(required=False)
    output_mb = serializers.FloatField(required=False)


class ConfigSerializer(Strict):
    """What machines of an environment are made from; what is left out has a usual value."""

    repository = serializers.CharField(required=False, help_text="An id; without it a repository is made.")
    image = serializers.CharField(required=False)
    setup = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False, help_text="A shell script, run when a machine is made."
    )
    network = serializers.BooleanField(required=False, help_text="Whether commands reach the network; usually not.")
    limits = LimitsSerializer(required=False)
    env = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False),
        required=False,
        help_text="Plain variables; what nobody may see belongs into a secret.",
    )


class SecretBindingSerializer(Strict):
    """A secret of the house that commands are handed."""

    name = serializers.CharField()
    required = serializers.BooleanField(default=True)  # type: ignore[assignment]  # a field of ours, not REST framework's attribute


class NewEnvironmentSerializer(Strict):
    """An environment as it shall be."""

    name = serializers.CharField(max_length=200)
    config = ConfigSerializer(required=False, default=dict)
    secret_bindings = SecretBindingSerializer(many=True, required=False, default=list)


class EnvironmentSerializer(serializers.Serializer[Any]):
    """A recipe for machines."""

    id = serializers.CharField()
    name = serializers.CharField()
    config = ConfigSerializer()
    secret_bindings = SecretBindingSerializer(many=True)
    created_at = serializers.DateTimeField()


class EnvironmentPageSerializer(PageSerializer):
    """Some environments."""

    results = EnvironmentSerializer(many=True)


class EnvironmentQuery(PageQuery):
    """Which environments."""

    name = serializers.CharField(required=False)


class EnvironmentsView(HouseView):
    @operation("list_environments", "environments", query=EnvironmentQuery, gives=EnvironmentPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """The house's environments, by name."""
        query = self.asked(EnvironmentQuery)
        return page(named(Environment.objects.all(), query), EnvironmentSerializer, query, order=["name"])

    @operation(
        "create_environment", "environments", takes=NewEnvironmentSerializer, gives=EnvironmentSerializer, status=201
    )
    def post(self, request: Request, house: str) -> Response:
        """A new environment; the first one becomes the house's default."""
        environment = Environment.objects.create_in(self.house, by=self.agent, **self.sent(NewEnvironmentSerializer))
        environment.refresh_from_db()
        return answer(EnvironmentSerializer, environment, 201)


class EnvironmentView(HouseView):
    row = Environment, "pk", "environment"

    @operation("get_environment", "environments", gives=EnvironmentSerializer)
    def get(self, request: Request, house: str, environment: str) -> Response:
        """One environment."""
        return answer(EnvironmentSerializer, found(Environment.objects.all(), pk=environment))

    @operation("change_environment", "environments", takes=NewEnvironmentSerializer, gives=EnvironmentSerializer)
    def put(self, request: Request, house: str, environment: str) -> Response:
        """Another version of the recipe; machines made before keep what they were made from."""
        recipe = found(Environment.objects.all(), pk=environment)
        recipe.change(by=self.agent, **self.sent(NewEnvironmentSerializer))
        return answer(EnvironmentSerializer, recipe)


class DefaultView(HouseView):
    @operation("make_environment_default", "environments", gives=EnvironmentSerializer)
    def put(self, request: Request, house: str, environment: str) -> Response:
        """Use this environment for every thread that names none."""
        recipe = found(Environment.objects.all(), pk=environment)
        recipe.make_default(by=self.agent)
        return answer(EnvironmentSerializer, recipe)
