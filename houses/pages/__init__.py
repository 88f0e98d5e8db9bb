"""Pages of houses, for people: coming in, who is there, what may, what is kept, what was changed."""

from houses.pages import changes, coming_in, entrances, houses, invitations, members, records, rights, secrets, you

urlpatterns = [
    *entrances.urlpatterns,
    *coming_in.urlpatterns,
    *you.urlpatterns,
    *houses.urlpatterns,
    *invitations.urlpatterns,
    *members.urlpatterns,
    *rights.urlpatterns,
    *secrets.urlpatterns,
    *records.urlpatterns,
    *changes.urlpatterns,
]
