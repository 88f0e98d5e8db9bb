from django.db import migrations

from houses.functions import in_this_house


class Migration(migrations.Migration):
    dependencies = [("threads", "0003_audited"), ("houses", "0009_memories_saying")]
    operations = [in_this_house("threads_tagged", "tag text", "threads", "tags @> ARRAY[tag]")]
