"""The fields of requests as widgets, a file for each part of the screen."""
