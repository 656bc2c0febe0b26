"""Every sentence and every format of a number, a file for each subject. No library but Python's own."""
