from django.contrib.postgres.indexes import HashIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("houses", "0006_kept_answers_forgotten")]

    operations = [
        migrations.RemoveIndex(model_name="mutation", name="mutations_of_a_house"),
        migrations.RemoveIndex(model_name="mutation", name="mutations_of_a_row"),
        migrations.AddIndex(
            model_name="mutation", index=models.Index(fields=["house_id", "id"], name="mutations_in_a_house")
        ),
        migrations.AddIndex(model_name="mutation", index=HashIndex(fields=["row_id"], name="mutations_to_a_row")),
    ]
