//! recording (being written).
