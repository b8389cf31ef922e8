//! Whole episodes through the public interface of `runtime`, on a fake arm and a fake camera.

mod allocation;
mod cameras;
mod counting;
mod handover;
mod lockstep;
mod posture;
mod signals;
mod station;
mod teleop;
mod wall;
