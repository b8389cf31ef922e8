//! Real-time settings that the operating system granted the control loop, kept with an episode.

use crate::recording::Attachment;
use crate::runtime::Granted;

/// As an attachment; `None` if nothing was requested.
pub fn attachment(granted: &[Granted]) -> anyhow::Result<Option<Attachment>> {
    if granted.is_empty() {
        return Ok(None);
    }
    let data = serde_json::to_vec_pretty(granted)?;
    Ok(Some(Attachment { name: "realtime.json".into(), media_type: "application/json".into(), data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_settings_are_kept_with_the_episode() {
        assert!(attachment(&[]).unwrap().is_none());
        let refused = crate::runtime::Realtime { priority: None, lock_memory: false, cpu: Some(1_000_000) }.try_out();
        let attached = attachment(&refused).unwrap().unwrap();
        let text = String::from_utf8(attached.data).unwrap();
        assert!(text.contains("\"granted\": false") && text.contains("CPU 1000000"), "{text}");
    }
}
