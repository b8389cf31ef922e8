//! What several commands print at their end.

/// Reports whether the arm was seen standing: always if it was not, and after an abnormal end also if it was.
pub fn say_hold(report: &crate::runtime::EpisodeReport) {
    match report.hold {
        Some(hold) if !hold.is_confirmed() => tracing::error!("{hold}"),
        Some(hold) if matches!(report.outcome, crate::episode::Outcome::Aborted { .. }) => say!("{hold}"),
        _ => {}
    }
}

/// Prints the report's path, if it could be written.
pub fn say_where(report: &std::path::Path) {
    if report.exists() {
        say!("report: {}", report.display());
    }
}
