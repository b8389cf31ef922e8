//! page
use std::path::Path;
use super::{Report, TrialPlan, TrialRecord};
/// Renders.
pub fn render(report: &Report, _plans: &[TrialPlan], _records: &[TrialRecord], _folder: &Path) -> String {
    report.table()
}
