"""The product's settings with the benchmark's routes."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "bench.web_urls"
