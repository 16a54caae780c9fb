"""Lets a benchmark use what tests share: real servers, and a whole service in real processes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
