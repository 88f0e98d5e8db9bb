from django.db import migrations

from houses.functions import across_houses

# Whoever was rung for a moment ago is on its way; the rest of the wait is not for the sweep to shorten.
BODY = """
    SELECT 'command', house_id, id FROM commands
    WHERE ((status = 'queued' AND created_at < now() - interval '2 seconds')
        OR (status = 'running' AND leased_until < now()))
      AND (rung_at IS NULL OR rung_at < now() - interval '5 seconds')
    UNION ALL
    SELECT 'make', house_id, id FROM makes
    WHERE status = 'running' AND created_at < now() - interval '2 seconds'
      AND (rung_at IS NULL OR rung_at < now() - interval '5 seconds')
      AND NOT EXISTS (
          SELECT 1 FROM commands WHERE make_id = makes.id AND commands.status IN ('queued', 'running')
      )
    LIMIT 500
"""


class Migration(migrations.Migration):
    dependencies = [("threads", "0001_initial")]
    operations = [across_houses("work_adrift", "kind text, house_id text, id text", BODY)]
