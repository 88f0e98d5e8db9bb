from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("streams", "0002_outbox_left_behind")]
    operations = [
        migrations.RemoveConstraint(model_name="outbox", name="one_event_per_position"),
        migrations.AddConstraint(
            model_name="outbox",
            constraint=models.UniqueConstraint(name="one_event_per_position", fields=("house", "stream", "position")),
        ),
        migrations.RemoveIndex(model_name="outbox", name="what_waits_in_a_house"),  # the key is that index
    ]
