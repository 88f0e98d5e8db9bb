from django.db import migrations

from houses.functions import across_houses


class Migration(migrations.Migration):
    dependencies = [("sandboxes", "0001_initial")]
    operations = [
        across_houses(
            "sandboxes_known",
            "house_id text, id text, provider text, provider_ref text, status text",
            "SELECT house_id, id, provider, provider_ref, status FROM sandboxes",
        )
    ]
