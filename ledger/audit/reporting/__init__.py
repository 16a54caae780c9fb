"""The epoch's report (rewards spec R7): pure, from facts passed in, as Markdown, JSON, CSV and a printable page."""
