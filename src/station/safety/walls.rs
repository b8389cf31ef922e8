//! Geometric limits: the tool's box, the planes, and self-collision.

use super::workspace::{TOLERANCE, Workspace};
use visuomotor_core::episode::LimitReason;
use visuomotor_core::kinematics::{Chain, Contact, Placement};
use visuomotor_core::observation::JointVector;
use visuomotor_core::protection::Protection;

/// All walls for one tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walls<'a> {
    pub(super) chain: &'a Chain,
    pub(super) workspace: Workspace,
}

impl Walls<'_> {
    /// Reason why the arm may not go from `last` to `next`; `None` if it may. An arm already outside may stay or come back.
    pub(super) fn refuses(&self, next: &JointVector, last: &JointVector) -> Option<LimitReason> {
        let there = self.chain.place(next);
        if self.is_free(&there) { None } else { self.refuses_placed(&there, &self.chain.place(last)) }
    }

    /// The same, for already placed bodies.
    pub(super) fn refuses_placed(&self, there: &Placement, here: &Placement) -> Option<LimitReason> {
        if !Protection::Workspace.is_on() || self.is_free(there) {
            return None;
        }
        if !self.workspace.allows(&there.tool, &here.tool) {
            return Some(LimitReason::Workspace);
        }
        self.chain.bodies().contact(there, here, self.workspace.approaching).map(|contact| match contact {
            Contact::Parts => LimitReason::SelfCollision,
            Contact::Plane => LimitReason::Plane,
        })
    }

    /// Is the tool clearly out of its box, or a part of the arm inside another or behind a plane?
    pub(super) fn is_through(&self, here: &Placement) -> bool {
        let bodies = self.chain.bodies();
        !(self.workspace.distance_outside(&here.tool) <= 2.0 * TOLERANCE
            && bodies.least_gap(here) >= 0.0
            && bodies.least_plane_gap(here) >= 0.0)
    }

    fn is_free(&self, at: &Placement) -> bool {
        self.workspace.distance_outside(&at.tool) <= TOLERANCE && self.chain.bodies().are_clear(at)
    }
}
