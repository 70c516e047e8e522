//! The real code on a simulated network with simulated time: a program with a seed.
