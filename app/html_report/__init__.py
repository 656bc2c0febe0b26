"""Results as one HTML file, made from their JSON alone."""

from app.html_report.reports import page, page_of_several

__all__ = ["page", "page_of_several"]
