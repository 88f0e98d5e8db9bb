from typing import Any

from django.db import migrations, models
from django.db.models.functions import Lower

TWINS = "SELECT count(*) FROM (SELECT FROM agents GROUP BY lower(email) HAVING count(email) > 1) twins"


def no_twins(apps: Any, schema_editor: Any) -> None:
    """Whose account an address is, nobody but an operator can say: it is neither guessed nor changed here."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(TWINS)
        (twins,) = cursor.fetchone()
    if twins:
        raise RuntimeError(
            f"{twins} addresses have several accounts, which differ in letter case alone. As the owner role, set the "
            "email of all but one of each to NULL in the table agents, and migrate again."
        )


class Migration(migrations.Migration):
    dependencies = [("houses", "0010_confined_tokens")]
    operations = [
        migrations.AddField(
            model_name="agent",
            name="address_shown",
            field=models.BooleanField(db_default=True, default=True, editable=False),
        ),
        migrations.RunPython(no_twins, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="agent",
            constraint=models.UniqueConstraint(
                Lower("email"),
                name="one_agent_per_address",
                violation_error_message="There is an account of this address already.",
            ),
        ),
    ]
