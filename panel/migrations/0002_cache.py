from django.core.management import call_command
from django.db import migrations


def make_table(apps, schema_editor):
    """The table of the cache, as Django's own command makes it where there is none."""
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("panel", "0001_initial")]

    operations = [migrations.RunPython(make_table, migrations.RunPython.noop)]
