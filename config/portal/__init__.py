"""The admin site around all apps: its menu, its home page, its error pages, and the page of the API."""
