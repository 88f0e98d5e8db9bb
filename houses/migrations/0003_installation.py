from django.db import migrations

from houses.migrations._installation import INSTALLATION


class Migration(migrations.Migration):
    dependencies = [("houses", "0002_rights_and_records")]
    operations = INSTALLATION
