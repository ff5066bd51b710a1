"""The WSGI entry point. Not ASGI: Django's handler for it costs an order of magnitude more per request."""

import os

from django.core.wsgi import get_wsgi_application

from config.ops import logs, private

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
logs.mask_handlers("_granian")  # it writes the traceback of what breaks while an answer is being streamed
private.narrow()
