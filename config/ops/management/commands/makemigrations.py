from django.core.management.commands import makemigrations

from config.ops.schema import Autodetector


class Command(makemigrations.Command):
    autodetector = Autodetector
