"""Our contracts as they are called and read: interfaces, one class each, roles, and why they say no."""
