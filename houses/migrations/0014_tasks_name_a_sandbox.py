from django.db import migrations

# No role but the operator's may write what belongs to no house; the owner may take that role up.
NAMED = """
SET LOCAL ROLE arbe_operator;
UPDATE tools SET schema = jsonb_set(schema, '{properties,sandbox}', '{"type": "string"}') WHERE id = 'delegate_task';
RESET ROLE;
"""
UNNAMED = """
SET LOCAL ROLE arbe_operator;
UPDATE tools SET schema = schema #- '{properties,sandbox}' WHERE id = 'delegate_task';
RESET ROLE;
"""


class Migration(migrations.Migration):
    """A task may be given the machine of another thread, on purpose."""

    dependencies = [("houses", "0013_bots_and_budgets")]
    operations = [migrations.RunSQL(NAMED, UNNAMED)]
