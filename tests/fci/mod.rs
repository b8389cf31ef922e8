//! Panda and FR3 over the Franka control interface: by hand against the emulated control boxes without sockets, over sockets,
//! and against `franka-sim` and the maker's libfranka, which none of us wrote.

mod by_hand;
mod emulated;
mod fr3;
mod franka_sim;
mod laws;
mod libfranka;
mod line;
