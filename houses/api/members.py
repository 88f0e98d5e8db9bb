"""Who is in a house."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import BOT, HUMAN, RUNTIMES
from houses.api.houses import KINDS, AgentSerializer
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer, answers
from houses.arrivals import welcome_bot, welcome_person
from houses.credentials import sign_in_address
from houses.finding import found
from houses.models import Member
from houses.places import MEMBER, OWNER


class MemberSerializer(serializers.Serializer[Any]):
    """Somebody in a house."""

    agent = AgentSerializer()
    email = serializers.EmailField(source="agent.email", allow_null=True)
    role = serializers.ChoiceField([OWNER, MEMBER])
    joined_at = serializers.DateTimeField()


class NewMemberSerializer(Strict):
    """A person by e-mail address, or a bot by name and runtime."""

    kind = serializers.ChoiceField(KINDS, default=HUMAN)
    name = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    email = serializers.EmailField(required=False, help_text="Of a person.")
    role = serializers.ChoiceField([OWNER, MEMBER], default=MEMBER)
    runtime = serializers.ChoiceField(RUNTIMES, required=False, help_text="Of a bot.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        needed = "runtime" if attrs["kind"] == BOT else "email"
        if not attrs.get(needed):
            raise serializers.ValidationError({needed: "This field is required."})
        return attrs


class AdmittedSerializer(MemberSerializer):
    """Somebody who was just let in."""

    sign_in_link = serializers.CharField(
        allow_null=True,
        help_text="Shown this once, for a person who is new here: it signs them in, once, within a day.",
    )


class RoleSerializer(Strict):
    """What a member may do."""

    role = serializers.ChoiceField([OWNER, MEMBER])


class MembersView(HouseView):
    @operation("list_members", "houses", gives=MemberSerializer(many=True))
    def get(self, request: Request, house: str) -> Response:
        """Everybody in the house, in the order they came."""
        return answers(MemberSerializer, Member.objects.select_related("agent").order_by("joined_at"))

    @operation("admit_member", "houses", takes=NewMemberSerializer, gives=AdmittedSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Let somebody in. A person who is not known yet is made, with a link to come in by; owners only."""
        new = self.sent(NewMemberSerializer)
        if new["kind"] == BOT:
            member, secret = welcome_bot(self.house, new["name"], new["runtime"], by=self.agent), None
        else:
            member, secret = welcome_person(self.house, new["email"], name=new["name"], role=new["role"], by=self.agent)
        link = sign_in_address(secret) if secret else None
        return Response({**MemberSerializer(member).data, "sign_in_link": link}, status=201)


class MemberView(HouseView):
    @operation("change_role", "houses", takes=RoleSerializer, gives=MemberSerializer)
    def patch(self, request: Request, house: str, agent: UUID) -> Response:
        """Make a member an owner, or an owner a member; owners only."""
        member = self._member(agent)
        member.change_role(self.sent(RoleSerializer)["role"], by=self.agent)
        return answer(MemberSerializer, member)

    @operation("remove_member", "houses")
    def delete(self, request: Request, house: str, agent: UUID) -> Response:
        """Take somebody out of the house, or leave it yourself."""
        self._member(agent).leave(by=self.agent)
        return Response(status=204)

    def _member(self, agent: UUID) -> Member:
        return found(Member.objects.select_related("agent"), agent_id=agent)
