//! Bridge's raw folders: pickled arrays and JPEG files, one folder per trajectory.
//!
//! ```text
//! TASK/00/YYYY-MM-DD_HH-MM-SS/collection_metadata.json
//! TASK/00/YYYY-MM-DD_HH-MM-SS/raw/traj_group0/trajN/
//!     obs_dict.pkl     arrays over T+1 observations: full_state and state (7), qpos, qvel, joint_effort (joints),
//!                      eef_transform (4, 4), time_stamp \[s\], image_capture_time (cameras) \[s\], env_done
//!     policy_out.pkl   T dicts: actions (7), policy_type
//!     agent_data.pkl   last_observation_repeated, camera_names, episode_start, episode_end
//!     lang.txt         the instruction
//!     imagesC/im_t.jpg T+1 images per camera
//! ```
//!
//! Bridge stores the observation after the last action; our recordings end with that action. The last observation is repeated
//! in its place, and `agent_data.pkl` notes this: leaving out the last action instead would lose recorded data. Trainers that
//! use next observations see one step without motion, which ends the trajectory.

mod cameras;
mod export;
mod import;

pub use export::export_bridge;
pub use import::import_bridge;

/// Largest number of values taken from one array: 10 000 observations of 100 numbers.
const MOST_NUMBERS: usize = 1_000_000;
