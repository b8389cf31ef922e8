//! `report.html` and its kin: results as self-contained pages that open from disk.
//!
//! Pages are markup of [`maud`], which escapes every text and attribute; style and player are files next to this module.

mod chart;
mod comparison;
mod methods;
mod parts;
mod pictures;
mod report;
mod trials;

pub use comparison::render_comparison;
pub use methods::render_methods;
pub use report::render;
