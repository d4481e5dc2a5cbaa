"""Which job starts next: the topic read ahead, the ready queue, and committed offsets."""
