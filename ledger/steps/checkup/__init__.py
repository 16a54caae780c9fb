"""What a start needs, checked one by one; nothing is changed."""
