from django.apps import AppConfig


class HousesConfig(AppConfig):
    """Who, where, what may."""

    name = "houses"
    default_auto_field = "django.db.models.BigAutoField"
