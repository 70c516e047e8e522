//! What judges a run: the whole history of the store, what each client was told, and whether the two agree.
