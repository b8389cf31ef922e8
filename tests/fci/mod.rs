//! Panda and FR3 over the Franka control interface: call by call against the emulated control boxes without sockets, over sockets,
//! and against the independent `franka-sim` and the manufacturer's libfranka.

mod by_hand;
mod emulated;
mod fr3;
mod franka_sim;
mod laws;
mod libfranka;
mod line;
