from django.db import migrations, models

CURRENT = models.Q(("current", True))


class Migration(migrations.Migration):
    """What a bot made is known by the bot, and by what that was then."""

    dependencies = [("artifacts", "0004_keys_of_a_house")]
    operations = [
        migrations.AddField(
            model_name="derivation", name="bot", field=models.TextField(blank=True, db_default="", default="")
        ),
        migrations.AddField(
            model_name="derivation", name="bot_digest", field=models.TextField(blank=True, db_default="", default="")
        ),
        migrations.AddField(
            model_name="derivation", name="asked_by_name", field=models.TextField(blank=True, db_default="", default="")
        ),
        migrations.AddIndex(
            model_name="derivation",
            index=models.Index(
                condition=CURRENT & ~models.Q(("bot", "")),
                fields=["repository", "bot", "bot_digest"],
                name="derivations_by_bot",
            ),
        ),
    ]
