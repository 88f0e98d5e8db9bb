from django.db import migrations, models

import houses.audit


class Migration(migrations.Migration):
    dependencies = [("houses", "0009_memories_saying")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="run_thread",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            model_name="token",
            name="replaced_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.RemoveConstraint(model_name="memory", name="memories_are_audited"),
        migrations.AddConstraint(
            model_name="memory",
            constraint=houses.audit.Audited(
                name="memories_are_audited",
                hidden=("subject", "text", "words", "tags", "source", "kind", "confidence"),
            ),
        ),
    ]
