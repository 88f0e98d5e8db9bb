from django.db import migrations, models

CURRENT = models.Q(("current", True))
KEYS = [
    ("derivation", "one_current_derivation_per_path", ("repository", "path"), CURRENT),
    ("input", "an_input_once_per_derivation", ("derivation", "path"), None),
]


class Migration(migrations.Migration):
    """What a key refuses is told in words; a key of its house alone tells nothing of another."""

    dependencies = [("artifacts", "0003_artifact")]
    operations = [
        operation
        for model, name, fields, condition in KEYS
        for operation in (
            migrations.RemoveConstraint(model_name=model, name=name),
            migrations.AddConstraint(
                model_name=model,
                constraint=models.UniqueConstraint(name=name, fields=("house", *fields), condition=condition),
            ),
        )
    ]
