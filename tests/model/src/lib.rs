//! The protocol as a model whose every reachable state is checked.
