"""The WSGI application of the receiving benchmark: the product's, plus the yardstick's route."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.web_settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
