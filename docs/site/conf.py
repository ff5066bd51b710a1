"""Sphinx's settings; `manage.py build_docs` lays the pages out and runs it."""

project = "Switchboard"
author = "The Switchboard authors"
copyright = "The Switchboard authors, MIT licence"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Switchboard"
html_static_path, html_css_files = ["_static"], ["site.css"]
html_logo = html_favicon = "logo.svg"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f6b75", "color-brand-content": "#0f6b75"},
    "dark_css_variables": {"color-brand-primary": "#62c3cd", "color-brand-content": "#62c3cd"},
}
