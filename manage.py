#!/usr/bin/env python
"""arbe's commands: `manage.py up` runs everything, `manage.py help` lists the rest."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arbe.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
