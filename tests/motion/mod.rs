//! The path from an action to a joint command, from outside: kinematics, control and safety together.

mod asked;
mod closed_loop;
mod inverse_report;
mod laws;
mod ruckig_oracle;
