from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("threads", "0004_threads_tagged")]
    operations = [
        migrations.RemoveConstraint(model_name="make", name="one_make_of_a_target_at_a_time"),
        migrations.AddConstraint(
            model_name="make",
            constraint=models.UniqueConstraint(
                name="one_make_of_a_target_at_a_time",
                fields=("house", "thread", "target"),
                condition=models.Q(("status", "running")),
            ),
        ),
    ]
