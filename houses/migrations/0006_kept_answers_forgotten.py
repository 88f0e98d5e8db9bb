"""Answers that were kept for a day are forgotten, of every agent; nobody else's can be read for it."""

from django.db import migrations

from houses.functions import across_houses

BODY = """
WITH forgotten AS (DELETE FROM kept_answers WHERE asked_at <= statement_timestamp() - interval '24 hours' RETURNING 1)
SELECT count(*) FROM forgotten
"""


class Migration(migrations.Migration):
    dependencies = [("houses", "0005_records")]
    operations = [across_houses("forget_kept_answers", "count bigint", BODY, changes=True)]
