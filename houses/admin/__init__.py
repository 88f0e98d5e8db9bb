"""What operators see of houses: everything in them, and nothing that opens them."""

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group

from houses.admin import agents, bots, grants, houses, mutations, records  # noqa: F401  # their classes register themselves

admin.site.unregister(Group)  # rights are not given by groups here
for theirs in ("account", "mfa", "socialaccount", "usersessions"):  # people see to these themselves, under their name
    admin.site.unregister(
        [model for model in apps.get_app_config(theirs).get_models() if model in admin.site._registry]
    )
