"""Where an ASGI server finds arbe."""

import os
from importlib import import_module

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arbe.settings")
django = get_asgi_application()  # before anything that needs the apps loaded

application = import_module("arbe.serving").Arbe(django)
