from django.db import migrations

from houses.functions import across_houses

# Whoever was rung for a moment ago is on its way; the rest of the wait is not for the sweep to shorten.
BODY = """
    SELECT house_id, id FROM answers
    WHERE ((status = 'queued' AND created_at < now() - interval '2 seconds')
        OR (status = 'running' AND leased_until < now()))
      AND (rung_at IS NULL OR rung_at < now() - interval '5 seconds')
    LIMIT 500
"""


class Migration(migrations.Migration):
    dependencies = [("threads", "0006_runs_and_answers")]
    operations = [across_houses("answers_adrift", "house_id text, id text", BODY)]
