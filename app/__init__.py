"""People in, pictures out: the dashboard. It knows widgets and words and computes nothing."""
