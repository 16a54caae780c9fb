"""What explains a result and stands in no hash: verdicts, refused readings, zone hours, credited certificates."""
