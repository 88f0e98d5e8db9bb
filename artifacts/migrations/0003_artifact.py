import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import houses.audit
import houses.constraints
import houses.ids


class Migration(migrations.Migration):
    dependencies = [
        ("artifacts", "0002_audited"),
        ("houses", "0005_records"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Artifact",
            fields=[
                ("id", houses.ids.ShortIdField(serialize=False)),
                ("kind", models.TextField()),
                ("label", models.TextField(blank=True, db_default="", default="")),
                ("external_id", models.TextField(blank=True, db_default="", default="")),
                ("mime_type", models.TextField(blank=True, db_default="", default="")),
                ("byte_ref", models.TextField(blank=True, db_default="", default="")),
                ("path", models.TextField(blank=True, db_default="", default="")),
                ("commit", models.TextField(blank=True, db_default="", default="")),
                ("source_thread_id", models.TextField(blank=True, db_default="", default="")),
                ("source_run", models.TextField(blank=True, db_default="", default="")),
                ("metadata", models.JSONField(blank=True, db_default={}, default=dict)),
                (
                    "made_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "house",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="artifacts",
                        to="houses.house",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "repository",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="artifacts",
                        to="artifacts.repository",
                    ),
                ),
                (
                    "resource",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="artifacts",
                        to="houses.resource",
                    ),
                ),
            ],
            options={
                "db_table": "artifacts",
                "indexes": [
                    models.Index(fields=["house", "-made_at"], name="artifacts_by_time"),
                    models.Index(fields=["house", "source_thread_id"], name="artifacts_of_a_thread"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("house", "id"), name="artifacts_house_id"),
                    models.UniqueConstraint(
                        condition=models.Q(("repository__isnull", False)),
                        fields=("house", "repository", "path", "commit"),
                        name="a_version_is_kept_once",
                    ),
                    houses.constraints.SameHouse(
                        fields=("house", "repository"),
                        name="an_artifact_is_of_a_repository_next_to_it",
                        on_delete="set null (repository_id)",
                        to="artifacts.Repository",
                        to_fields=("house", "id"),
                    ),
                    houses.constraints.SameHouse(
                        fields=("house", "resource"),
                        name="an_artifact_is_about_a_resource_next_to_it",
                        on_delete="set null (resource_id)",
                        to="houses.Resource",
                        to_fields=("house", "id"),
                    ),
                    houses.constraints.HouseOwned(
                        also_read="", column="house_id", name="artifacts_stay_in_their_house"
                    ),
                    houses.audit.Audited(hidden=(), ignored=(), name="artifacts_are_audited"),
                ],
            },
        ),
    ]
