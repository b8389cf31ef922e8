//! training (being written).
