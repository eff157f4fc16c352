"""For teachers: hand sheets out, take them back from whatever became of them, and grade them where they do no harm."""
