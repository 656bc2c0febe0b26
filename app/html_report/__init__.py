"""A comparison as one HTML file, made from the JSON of its report alone."""

from app.html_report.page import page

__all__ = ["page"]
