//! The path from an action to a joint command, from outside: kinematics, control and safety together.

mod inverse_report;
