from django.db import migrations, models


class Migration(migrations.Migration):
    """A memory is superseded once, so that what stands in its place is one thing."""

    dependencies = [("houses", "0004_vault_keys")]

    operations = [
        migrations.AddConstraint(
            model_name="memory",
            constraint=models.UniqueConstraint(fields=("house", "supersedes"), name="a_memory_is_superseded_once"),
        ),
    ]
