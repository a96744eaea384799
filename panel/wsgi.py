"""The panel as a WSGI application, for gunicorn."""

import gc
import os
from importlib import import_module

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "panel.settings")
application = get_wsgi_application()

# Every page is loaded now, and stays as long as the process does. Looking through all of it for
# garbage would keep requests waiting ten times as long as a page takes.
import_module(settings.ROOT_URLCONF)
gc.collect()
gc.freeze()
