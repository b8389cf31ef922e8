//! The page beside a command: started, fed, and used as a device.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::setting::Setting;
use crate::episode::StepSink;
use crate::operator::Operator;
use crate::runtime::Station;
use crate::teleop::TeleopDevice;
use crate::time::Timestamp;

/// The page, instead of or beside the terminal.
#[derive(Args, Debug, Default, Clone)]
pub struct PageArguments {
    /// Show the local web page, and where (127.0.0.1:8480 without an address); beyond loopback it asks for a token
    #[arg(long, num_args = 0..=1, default_missing_value = "127.0.0.1:8480", value_name = "ADDRESS")]
    pub page: Option<SocketAddr>,
}

/// The page, or nothing.
pub struct Live;

impl PageArguments {
    /// Starts the page if it was asked for; `episodes` is the folder it lists.
    pub fn start(&self, _operator: &Operator, _setting: &Setting, _episodes: Option<PathBuf>) -> anyhow::Result<Live> {
        anyhow::ensure!(self.page.is_none(), "--page: this program was built without the feature `page`");
        Ok(Live)
    }
}

impl Live {
    /// What an episode tells the page.
    pub fn sink(&self) -> Option<Box<dyn StepSink>> {
        None
    }

    /// One look at the scene before an episode.
    pub fn preview(&self, _station: &mut Station, _now: Timestamp) {}

    /// The browser's gamepad or keys as a device.
    pub fn device(&self, _operator: &Operator) -> anyhow::Result<Box<dyn TeleopDevice>> {
        anyhow::bail!("device page: this program was built without the feature `page`")
    }
}
