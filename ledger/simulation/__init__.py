"""What a policy would have done: past epochs replayed under it, and the difference to what was sealed.

Pure computing: epochs come in, numbers, a document, a report and drawings come out. Nothing here reads or writes.
"""
