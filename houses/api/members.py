"""Who is in a house."""

from types import MappingProxyType
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.agents import BOT, HUMAN, RUNTIMES
from houses.api.houses import KINDS, AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.arrivals import Welcome, welcome_bot, welcome_person
from houses.finding import found
from houses.models import Member
from houses.rights import MEMBER, OWNER, require
from houses.scopes import X


class MemberSerializer(serializers.Serializer[Any]):
    """Somebody in a house."""

    agent = AgentSerializer()
    email = serializers.EmailField(source="agent.email", allow_null=True)
    role = serializers.ChoiceField([OWNER, MEMBER])
    joined_at = serializers.DateTimeField()


class MemberPageSerializer(PageSerializer):
    """Some members."""

    results = MemberSerializer(many=True)


class MemberQuery(PageQuery):
    """Which members."""

    kind = serializers.ChoiceField(KINDS, required=False)
    role = serializers.ChoiceField([OWNER, MEMBER], required=False)


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
    """Somebody who was just let in, or invited: then they are not a member yet."""

    agent = AgentSerializer(allow_null=True)  # nobody yet, as long as they are invited
    email = serializers.EmailField(allow_null=True)
    joined_at = serializers.DateTimeField(allow_null=True)
    invitation_link = serializers.CharField(
        allow_null=True,
        help_text="Shown this once: whoever is invited accepts by it, within a week.",
    )
    sign_in_link = serializers.CharField(
        allow_null=True,
        help_text="Shown this once, for a person who is new here: it signs them in, once, within a day.",
    )


class RoleSerializer(Strict):
    """What a member may do."""

    role = serializers.ChoiceField([OWNER, MEMBER])


class MembersView(HouseView):
    @operation("list_members", "houses", query=MemberQuery, gives=MemberPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """Everybody in the house, in the order they came."""
        query, members = self.asked(MemberQuery), Member.objects.select_related("agent")
        if "kind" in query:
            members = members.filter(agent__kind=query["kind"])
        if "role" in query:
            members = members.filter(role=query["role"])
        return page(members, MemberSerializer, query, order=["joined_at"])

    @operation("admit_member", "houses", takes=NewMemberSerializer, gives=AdmittedSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Let somebody in: a bot at once, a person by an invitation that they accept.

        Operators of the installation add people at once; one who is not known yet is made, with a link to come in by.
        """
        new = self.sent(NewMemberSerializer)
        if new["kind"] == BOT:
            came = Welcome(member=welcome_bot(self.house, new["name"], new["runtime"], by=self.agent))
        else:
            came = welcome_person(self.house, new["email"], name=new["name"], role=new["role"], by=self.agent)
        invited = {"agent": None, "email": new.get("email"), "role": new["role"], "joined_at": None}
        who = MemberSerializer(came.member).data if came.member else invited
        links = {"sign_in_link": came.sign_in_link, "invitation_link": came.invitation_link}
        return Response({**who, **links}, status=201)

    def reachable(self, told: Any) -> None:
        require(self.agent, X, self.house)  # there may be a link in it


class MemberView(HouseView):
    needs = MappingProxyType({"delete": None})  # whoever reads no more than one thread here may leave
    row = Member, "agent_id", "agent"

    @operation("get_member", "houses", gives=MemberSerializer)
    def get(self, request: Request, house: str, agent: UUID) -> Response:
        """Somebody in the house."""
        return answer(MemberSerializer, self._member(agent))

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
