"""What every vocabulary of text begins with. Sentences are padded with their end."""

UNKNOWN, BEGIN, END = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")
