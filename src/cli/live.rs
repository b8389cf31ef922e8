//! The page of a command: starts it, feeds it, and uses it as a device.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::Robot;
use crate::episode::StepSink;
use crate::operator::Operator;
use crate::runtime::Station;
use crate::teleop::TeleopDevice;
use crate::time::Timestamp;

/// The page, instead of or in addition to the terminal.
#[derive(Args, Debug, Default, Clone)]
pub struct PageArguments {
    /// Show the local web page, and where (127.0.0.1:8480 without an address); the link that is printed holds its token
    #[arg(long, num_args = 0..=1, default_missing_value = "127.0.0.1:8480", value_name = "ADDRESS")]
    pub page: Option<SocketAddr>,
    /// The page without a token: every user of this machine may drive; refused beyond 127.0.0.1
    #[arg(long, requires = "page")]
    pub page_open: bool,
}

#[cfg(feature = "page")]
pub use served::Live;
#[cfg(not(feature = "page"))]
pub use unserved::Live;

#[cfg(feature = "page")]
mod served {
    use super::*;
    use crate::page::{GamepadSlot, JointRange, Page, PageSettings, PageSink};
    use crate::teleop::{DeviceError, Pad, PadState, Reading};

    /// The page, if requested.
    pub struct Live {
        page: Option<(Page, PageSink)>,
    }

    impl PageArguments {
        /// Starts the page if requested; `episodes` is the folder it lists.
        pub fn start(&self, operator: &Operator, robot: &Robot, episodes: Option<PathBuf>) -> anyhow::Result<Live> {
            let Some(address) = self.page else { return Ok(Live { page: None }) };
            let settings = PageSettings { address, episodes, open: self.page_open, ..PageSettings::default() };
            let page = Page::start(settings, operator.clone())?;
            let range = |joint: &crate::config::Joint| JointRange {
                name: joint.name.clone(),
                low: joint.lower,
                high: joint.upper,
            };
            page.joint_ranges(robot.joint.iter().map(range).collect());
            say!("page: {}", page.url());
            let sink = page.sink();
            Ok(Live { page: Some((page, sink)) })
        }
    }

    impl Live {
        /// Listeners that pass an episode to the page.
        pub fn sink(&self) -> Option<Box<dyn StepSink>> {
            let (page, _) = self.page.as_ref()?;
            Some(Box::new(page.sink()))
        }

        /// Adds a point to the curve of the episode.
        pub fn curve_point(&self, seconds: f64, distance: f64) {
            if let Some((page, _)) = &self.page {
                page.curve_point(seconds, distance);
            }
        }

        /// Shows one image of the scene before an episode, where there is one.
        pub fn preview(&self, station: &mut Station, now: Timestamp) {
            let Some((_, sink)) = &self.page else { return };
            let Ok(proprioception) = station.arm.read(now) else { return };
            let images = station.cameras.iter_mut().filter_map(|(camera, _)| camera.newest(now).ok()).collect();
            sink.observe(&station.chain.observation(images, proprioception, now));
        }

        /// The browser's gamepad or keys as a device.
        pub fn device(&self, operator: &Operator) -> anyhow::Result<Box<dyn TeleopDevice>> {
            let Some((page, _)) = &self.page else {
                anyhow::bail!("device page: there is no page to drive from; add --page")
            };
            Ok(Box::new(PagePad { slot: page.gamepad(), pad: Pad::new(operator.clone(), "page"), newest: None }))
        }
    }

    /// The gamepad in front of a browser ("standard" mapping of the Gamepad API).
    struct PagePad {
        slot: GamepadSlot,
        pad: Pad,
        newest: Option<(u64, Reading)>,
    }

    impl TeleopDevice for PagePad {
        fn name(&self) -> &'static str {
            "page"
        }

        fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
            let Some((said, age)) = self.slot.newest() else {
                self.newest = None;
                return Ok(None);
            };
            if self.newest.is_none_or(|(sequence, _)| sequence != said.sequence) {
                let axis = |i: usize| said.axes.get(i).copied().unwrap_or(0.0);
                let button = |i: usize| said.buttons.get(i).copied().unwrap_or(false);
                let cross = |low: usize, high: usize| f64::from(button(high)) - f64::from(button(low));
                let state = PadState {
                    left: [axis(0), axis(1)],
                    right: [axis(2), axis(3)],
                    cross: [cross(14, 15), cross(12, 13)],
                    a: button(0),
                    b: button(1),
                    y: button(3),
                    shoulder: button(5),
                    back: button(8),
                    start: button(9),
                };
                // Time of receipt, on this clock.
                let at = Timestamp::from_nanos(now.as_nanos().saturating_sub(age.as_nanos() as u64));
                self.newest = Some((said.sequence, self.pad.reading(state, at)));
            }
            Ok(self.newest.map(|(_, reading)| reading))
        }

        fn reset(&mut self) {
            self.pad.reset();
        }
    }
}

#[cfg(not(feature = "page"))]
mod unserved {
    use super::*;

    /// Empty: built without the page.
    pub struct Live;

    impl PageArguments {
        /// Refuses a request for the page.
        pub fn start(&self, _operator: &Operator, _robot: &Robot, _episodes: Option<PathBuf>) -> anyhow::Result<Live> {
            anyhow::ensure!(self.page.is_none(), "--page: this program was built without the feature `page`");
            Ok(Live)
        }
    }

    impl Live {
        /// No listeners.
        pub fn sink(&self) -> Option<Box<dyn StepSink>> {
            None
        }

        /// No viewers.
        pub fn curve_point(&self, _seconds: f64, _distance: f64) {}

        /// No viewers.
        pub fn preview(&self, _station: &mut Station, _now: Timestamp) {}

        /// Refused: there is no page.
        pub fn device(&self, _operator: &Operator) -> anyhow::Result<Box<dyn TeleopDevice>> {
            anyhow::bail!("device page: this program was built without the feature `page`")
        }
    }
}
