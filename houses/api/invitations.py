"""Invitations: links that let people in, with their consent."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from houses.api.houses import AgentSerializer
from houses.api.paging import PageQuery, PageSerializer, page
from houses.api.schema import operation
from houses.api.view import HouseView, Strict, answer
from houses.finding import found
from houses.invitations import Invitation, invitation_address
from houses.rights import MEMBER, OWNER
from houses.scopes import X


class InvitationSerializer(serializers.Serializer[Any]):
    """An invitation, without its link."""

    id = serializers.CharField()
    email = serializers.EmailField(allow_null=True, help_text="Whom it is for; nobody else can accept it.")
    role = serializers.ChoiceField([OWNER, MEMBER])
    invited_by = AgentSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField(allow_null=True)
    accepted_by = AgentSerializer(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class InvitationPageSerializer(PageSerializer):
    """Some invitations."""

    results = InvitationSerializer(many=True)


class InvitationQuery(PageQuery):
    """Which invitations."""

    waiting = serializers.BooleanField(default=False, help_text="Only those that still let somebody in.")


class NewInvitationSerializer(Strict):
    """An invitation to be made."""

    email = serializers.EmailField(required=False, help_text="Of whom it is for; else for who holds it.")
    role = serializers.ChoiceField([OWNER, MEMBER], default=MEMBER)


class InvitedSerializer(InvitationSerializer):
    """An invitation that was just made."""

    link = serializers.CharField(help_text="What to send. Shown this once.")


class InvitationsView(HouseView):
    needs = X

    @operation("list_invitations", "houses", query=InvitationQuery, gives=InvitationPageSerializer)
    def get(self, request: Request, house: str) -> Response:
        """Every invitation of the house, newest first; links are never shown again."""
        query = self.asked(InvitationQuery)
        rows = Invitation.objects.waiting() if query["waiting"] else Invitation.objects.all()
        return page(rows.select_related("invited_by", "accepted_by"), InvitationSerializer, query, by="created_at")

    @operation("invite", "houses", takes=NewInvitationSerializer, gives=InvitedSerializer, status=201)
    def post(self, request: Request, house: str) -> Response:
        """Make a link that lets one person in, within a week. For who manages the house; owners invite owners."""
        made, text = Invitation.objects.make(by=self.agent, **self.sent(NewInvitationSerializer))
        made.refresh_from_db()
        return Response({**InvitationSerializer(made).data, "link": invitation_address(text)}, status=201)


class InvitationView(HouseView):
    needs = X

    @operation("get_invitation", "houses", gives=InvitationSerializer)
    def get(self, request: Request, house: str, invitation: str) -> Response:
        """One invitation, without its link."""
        everything = Invitation.objects.select_related("invited_by", "accepted_by")
        return answer(InvitationSerializer, found(everything, pk=invitation))

    @operation("take_invitation_back", "houses")
    def delete(self, request: Request, house: str, invitation: str) -> Response:
        """Take an invitation back; its link opens nothing any more."""
        found(Invitation.objects.all(), pk=invitation).revoke(by=self.agent)
        return Response(status=204)
