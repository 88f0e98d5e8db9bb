from django.db import migrations, models
from django.db.models import Q

from houses.functions import across_houses

GOING = "SELECT house_id, run FROM tokens WHERE run <> '' AND revoked_at IS NULL AND expires_at > now()"


class Migration(migrations.Migration):
    dependencies = [("houses", "0007_quick_mutations")]
    operations = [
        migrations.AddConstraint(
            "token",
            models.UniqueConstraint(name="one_token_per_run", fields=["house", "run"], condition=~Q(run="")),
        ),
        migrations.AddIndex(
            "token",
            models.Index(name="tokens_of_going_runs", fields=["expires_at"], condition=~Q(run="") & Q(revoked_at=None)),
        ),
        across_houses("run_tokens_going", "house_id text, run text", GOING),
    ]
