from django.db import migrations

from houses.functions import in_this_house

# The operator role, which the function works as, is not bound by the policy that keeps a private memory private.
PRIVATE = "(agent_id IS NULL OR agent_id = NULLIF(current_setting('app.agent_id', true), '')::uuid)"


class Migration(migrations.Migration):
    dependencies = [("houses", "0008_run_tokens")]
    operations = [
        in_this_house("memories_saying", "asked tsquery", "memories", f"words @@ asked AND {PRIVATE}"),
        in_this_house("memories_tagged", "asked text[]", "memories", f"tags @> asked AND {PRIVATE}"),
    ]
