"""The page never looks greener than it is."""

from matrix.reliability import gathered, page, said_of
from matrix.rows import NAMES, ROWS


def test_every_row_has_a_name_of_its_own_and_words() -> None:
    assert len(NAMES) == len(ROWS)
    assert all(row.fault and row.name == row.name.strip() for row in ROWS)


def test_without_tests_every_row_is_missing() -> None:
    told = page({})
    assert told.count("| **missing** |") == len(ROWS)
    assert f"**0 of {len(ROWS)} rows passed**" in told


def test_a_row_is_green_only_when_all_its_cases_ran_and_passed() -> None:
    one, two, third = (row.name for row in ROWS[:3])
    proofs = gathered(
        [
            ([one], "twice", "passed", 1.0),
            ([one], "twice", "passed", 0.5),
            ([two, third], "both", "failed", 1.0),
            ([two], "again", "passed", 1.0),
            ([third], "again", "skipped", 1.0),
        ]
    )
    table = [line for line in page(proofs).splitlines() if line.startswith("| ")]
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in table}
    assert lines[one].endswith("| twice | 2 | passed | 1.5 |"), lines[one]
    assert "| **1 failed** |" in lines[two]
    assert "| again · both |" in lines[two]
    assert "| **1 failed** |" in lines[third], "a failure is told before a skip"
    assert f"**1 of {len(ROWS)} rows passed**, in 6 cases" in page(proofs)


def test_a_test_is_told_by_its_first_sentence_or_its_name() -> None:
    assert said_of("test_x", "It does this.\n\nAnd that.") == "It does this"
    assert said_of("test_a_thing[case]", None) == "a thing"
