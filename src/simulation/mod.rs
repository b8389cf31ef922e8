//! simulation (being written).
