from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate


class HousesConfig(AppConfig):
    """Who, where, what may."""

    name = "houses"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from houses.audit import renew

        post_migrate.connect(renew, sender=self)


class OperatorsAdmin(admin_apps.AdminConfig):
    """Django's admin, behind a second factor."""

    default = False  # of this app; the settings name it
    default_site = "houses.operators.OperatorSite"
