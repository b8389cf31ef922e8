//! `journal.jsonl`: one line per finished trial, on disk before the next trial starts.
//!
//! The first line records the settings of the trials. A killed evaluation leaves at most one half-written line, the
//! last, which is dropped; everything before it counts. A line that cannot be written (full disk) is kept in memory and
//! written before the next one; the trials go on. A journal is never continued with other settings, weights, seed,
//! layout or policy, nor by two programs at once.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::latency::LatencySeries;
use super::protocol::{Scenario, TrialPlan};
use visuomotor_core::episode::OutcomeKind;
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::protection::Protection;

/// File name within the results folder.
pub const JOURNAL_FILE: &str = "journal.jsonl";

/// Version of the lines; a reader refuses another one.
const VERSION: u32 = 1;

/// Common data of all trials in a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalHeader {
    /// Version of the lines.
    pub journal_version: u32,
    /// Scenario.
    pub scenario: Scenario,
    /// Seed of the layout.
    pub seed: u64,
    /// Decision source.
    pub policy: String,
    /// SHA-256 of the resolved settings.
    pub settings_digest: String,
    /// SHA-256 of the policy's weights; empty if it has none.
    pub weights_digest: String,
    /// SHA-256 of scene and layout of all trials.
    pub layout_digest: String,
}

impl JournalHeader {
    /// A header of the current version.
    pub fn new(
        scenario: Scenario,
        seed: u64,
        policy: &str,
        settings_digest: &str,
        weights_digest: &str,
        layout_digest: &str,
    ) -> Self {
        Self {
            journal_version: VERSION,
            scenario,
            seed,
            policy: policy.into(),
            settings_digest: settings_digest.into(),
            weights_digest: weights_digest.into(),
            layout_digest: layout_digest.into(),
        }
    }

    /// The first difference, with a fix: (what, in the journal, now, fix).
    fn difference(&self, now: &Self) -> Option<(&'static str, String, String, &'static str)> {
        let same = "run with the same launch file, or choose another --out folder";
        let fields = [
            (
                "version",
                self.journal_version.to_string(),
                now.journal_version.to_string(),
                "choose another --out folder",
            ),
            ("scenario", self.scenario.number().to_string(), now.scenario.number().to_string(), same),
            (
                "seed",
                self.seed.to_string(),
                now.seed.to_string(),
                "pass the same --seed, or choose another --out folder",
            ),
            ("policy", self.policy.clone(), now.policy.clone(), same),
            ("settings digest", self.settings_digest.clone(), now.settings_digest.clone(), same),
            (
                "weights digest",
                self.weights_digest.clone(),
                now.weights_digest.clone(),
                "restore the weights, or choose another --out folder",
            ),
            (
                "layout digest",
                self.layout_digest.clone(),
                now.layout_digest.clone(),
                "restore the scene file, or choose another --out folder",
            ),
        ];
        fields.into_iter().find(|(_, theirs, ours, _)| theirs != ours)
    }
}

/// An image of a trial on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureFile {
    /// Time \[s since the trial's start\].
    pub seconds: f64,
    /// JPEG file, relative to the results folder.
    pub file: String,
}

/// One finished trial, a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its plan.
    #[serde(flatten)]
    pub plan: TrialPlan,
    /// Number of the attempt, from 1; above 1 if earlier ones were aborted.
    pub attempt: u32,
    /// Outcome.
    pub outcome: OutcomeKind,
    /// Judge.
    pub judge: String,
    /// Reason if not a success; empty for a success.
    pub why: String,
    /// Duration \[s\]; for a success the time to success.
    pub seconds: f64,
    /// Number of policy steps.
    pub steps: u64,
    /// File of the recorded episode.
    pub episode: String,
    /// Embedding distances to the goal image.
    pub goal_distances: Vec<f64>,
    /// Their times \[s since the trial's start\].
    pub distance_times: Vec<f64>,
    /// Times \[s since the trial's start\] and V(s_t) of the policy's critic; empty if not evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state_value: Vec<(f64, f64)>,
    /// Every timing by name.
    pub latency: BTreeMap<String, LatencySeries>,
    /// Control ticks that missed their deadline.
    pub deadline_misses: u64,
    /// Images in order of time.
    pub pictures: Vec<PictureFile>,
    /// Gaps in the record and their reasons; empty if complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl TrialRecord {
    /// Is the trial valid? An aborted one is not, and is run again on resume.
    pub fn counts(&self) -> bool {
        self.outcome != OutcomeKind::Aborted
    }

    /// Did it succeed?
    pub fn is_success(&self) -> bool {
        self.outcome == OutcomeKind::Success
    }
}

/// A journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file-system error.
    #[error("{path}: {source}; check that the folder exists, is writable and has space", path = path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The journal belongs to another evaluation.
    #[error("{path}: holds trials run with {what} `{theirs}`, now it is `{ours}`; {fix}", path = path.display())]
    Different {
        /// The journal.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Value in the journal.
        theirs: String,
        /// Value now.
        ours: String,
        /// The fix.
        fix: &'static str,
    },
    /// A line that is not the last cannot be read, or names a trial that is not planned or done already.
    #[error("{path}:{line}: {what}; restore the file from a copy, or choose another --out folder", path = path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Another program writes to this journal.
    #[error("{path}: another program is evaluating into this folder; wait for it, or choose another --out folder", path = path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A record could not be read back from its own line; nothing was written.
    #[error("{path}: the record of {trial} cannot be written ({why}); this is a fault of the program", path = path.display())]
    Unwritable {
        /// The journal.
        path: PathBuf,
        /// Name of the trial.
        trial: String,
        /// What is wrong.
        why: String,
    },
}

impl Failing for JournalError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Io { source, .. } => source.failure(),
            Self::Unwritable { .. } => FailureKind::Machine,
            Self::Different { .. } | Self::Damaged { .. } | Self::InUse { .. } => FailureKind::Usage,
        }
    }
}

/// An open journal. The file is locked until it is dropped.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    records: Vec<TrialRecord>,
    dropped_bytes: u64,
    /// Bytes of the complete lines.
    length: u64,
    /// Lines that could not be written yet, and the latest error.
    waiting: Vec<String>,
    trouble: Option<JournalError>,
}

impl Journal {
    /// Opens or creates `folder/journal.jsonl`; a half-written last line is dropped.
    pub fn open(folder: &Path, header: &JournalHeader) -> Result<Self, JournalError> {
        let path = folder.join(JOURNAL_FILE);
        let io = |source| JournalError::Io { path: path.clone(), source };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => JournalError::InUse { path: path.clone() },
            std::fs::TryLockError::Error(source) => JournalError::Io { path: path.clone(), source },
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let (records, valid) = read(&path, &bytes, header)?;
        file.set_len(valid as u64).map_err(io)?;
        file.seek(SeekFrom::Start(valid as u64)).map_err(io)?;
        let dropped_bytes = (bytes.len() - valid) as u64;
        let mut journal = Self {
            path: path.clone(),
            file,
            records,
            dropped_bytes,
            length: valid as u64,
            waiting: Vec::new(),
            trouble: None,
        };
        if valid == 0 {
            let line = serde_json::to_string(header).map_err(|error| io(error.into()))?;
            journal.write_line(&line)?;
            // The directory entry must survive a power cut too.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        }
        Ok(journal)
    }

    /// Finished trials, in the order they were run.
    pub fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    /// Bytes of a half-written last line that opening cut off; 0 in a clean journal.
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// The plans without a valid trial, in their order.
    pub fn remaining<'a>(&self, plans: &'a [TrialPlan]) -> Vec<&'a TrialPlan> {
        plans
            .iter()
            .filter(|plan| !self.records.iter().any(|done| done.counts() && same_trial(&done.plan, plan)))
            .collect()
    }

    /// The number of the next attempt at a trial, from 1.
    pub fn next_attempt(&self, plan: &TrialPlan) -> u32 {
        1 + self.records.iter().filter(|done| same_trial(&done.plan, plan)).count() as u32
    }

    /// Lines of finished trials that are only in memory because writing failed, and the error.
    pub fn waiting(&self) -> Option<(&[String], &JournalError)> {
        let trouble = self.trouble.as_ref().filter(|_| !self.waiting.is_empty())?;
        Some((&self.waiting, trouble))
    }

    /// Appends a finished trial; on return it is on disk, or waits for disk space ([`Journal::waiting`]).
    pub fn append(&mut self, record: TrialRecord) -> Result<(), JournalError> {
        let unwritable =
            |why: String| JournalError::Unwritable { path: self.path.clone(), trial: record.plan.name(), why };
        let line = serde_json::to_string(&record).map_err(|error| unwritable(error.to_string()))?;
        // A non-finite number becomes `null`, which could not be read on resume: refuse it now.
        serde_json::from_str::<TrialRecord>(&line).map_err(|error| unwritable(error.to_string()))?;
        if self.records.iter().any(|done| done.counts() && same_trial(&done.plan, &record.plan)) {
            return Err(unwritable("it is done already".into()));
        }
        if !Protection::Recording.is_on() {
            self.write_line(&line)?;
        }
        self.records.push(record);
        if Protection::Recording.is_on() {
            self.waiting.push(line);
            self.write_waiting();
        }
        Ok(())
    }

    /// Retries writing the waiting lines, in order.
    pub fn write_waiting(&mut self) {
        self.trouble = None;
        while let Some(line) = self.waiting.first().cloned() {
            if let Err(error) = self.write_line(&line) {
                self.trouble = Some(error);
                return;
            }
            self.waiting.remove(0);
        }
    }

    /// Writes a complete line or nothing, as far as a failing disk permits.
    fn write_line(&mut self, line: &str) -> Result<(), JournalError> {
        let line = format!("{line}\n");
        if let Err(source) = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()) {
            // A partial line must not precede the next one; if this fails too, the next opening drops it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(JournalError::Io { path: self.path.clone(), source });
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

fn same_trial(a: &TrialPlan, b: &TrialPlan) -> bool {
    a.task == b.task && a.trial == b.trial
}

/// The records of the longest valid prefix of `bytes`, and its length. Only the last line may be invalid.
fn read(path: &Path, bytes: &[u8], header: &JournalHeader) -> Result<(Vec<TrialRecord>, usize), JournalError> {
    let damaged = |line: usize, what: String| JournalError::Damaged { path: path.to_path_buf(), line, what };
    let mut records: Vec<TrialRecord> = Vec::new();
    let mut valid = 0;
    for (i, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if i == 0 {
            // Without a line end no trial was written yet: start over.
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let found: JournalHeader = serde_json::from_slice(line)
                .map_err(|error| damaged(1, format!("not the first line of a journal ({error})")))?;
            if let Some((what, theirs, ours, fix)) = found.difference(header) {
                return Err(JournalError::Different { path: path.to_path_buf(), what, theirs, ours, fix });
            }
        } else {
            match serde_json::from_slice::<TrialRecord>(line) {
                Ok(record) if line.ends_with(b"\n") => {
                    if records.iter().any(|done| done.counts() && same_trial(&done.plan, &record.plan)) {
                        return Err(damaged(i + 1, format!("trial {} is recorded twice", record.plan.name())));
                    }
                    records.push(record);
                }
                Err(error) if valid + line.len() < bytes.len() => {
                    return Err(damaged(i + 1, format!("not the record of a trial ({error})")));
                }
                // The last line: half-written, or complete but for its line end.
                _ => break,
            }
        }
        valid += line.len();
    }
    Ok((records, valid))
}
